from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'wtname[mcp]'")

from tests.mcp_client import MODES, TASK, Session, answering, state, talk, wire
from wtname.serving.roots import Limit, path_of


@pytest.fixture
def place(repo: Path) -> Path:
    """A worktree on the branch wt-x."""
    path = repo.parent / "demo.worktrees" / "wt-x"
    git("worktree", "add", "-q", "-b", "wt-x", path, cwd=repo)
    return path


URIS = [
    ("file:///home/ada/shop", "/home/ada/shop", None),
    ("file:///home/ada/a%20b/%C3%A9", "/home/ada/a b/é", None),
    ("file://localhost/home", "/home", None),
    ("file:///c%3A/Users/Ada%20L", "/c:/Users/Ada L", r"c:\Users\Ada L"),
    ("file:///C:/x", "/C:/x", r"C:\x"),
    ("file://server/share/x", None, r"\\server\share\x"),
    ("file:///a#b", None, None),
    ("file:///a?b", None, None),
    ("file:///a%00b", None, None),
    ("https://example.org/a", None, None),
    ("file:", None, None),
    ("/home", None, None),
]


@pytest.mark.parametrize(("uri", "posix", "windows"), URIS)
def test_uris(uri: str, posix: str | None, windows: str | None) -> None:
    assert path_of(uri, windows=False) == posix
    assert path_of(uri, windows=True) == windows


def test_limit(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "inside").mkdir()
    (tmp_path / "in" / "out").symlink_to(tmp_path / "inside")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    limit = Limit([tmp_path / "link"], "the roots")
    allowed = ["in", "in/deep", "in/deep/nothing/yet", "link/deep", "in/deep/..", "inside/../in"]
    refused = [".", "inside", "in/out", "in/..", "in/out/x", "in/deep/../../inside", "link/out"]
    assert [place for place in allowed + refused if limit.allows(tmp_path / place)] == allowed


def test_roots_are_the_limit(repo: Path, place: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "demo2")
    strange = make_repository(tmp_path / "strange")
    git("config", "core.worktree", other, cwd=strange)
    (repo / "out").symlink_to(other)
    (repo / "sub").mkdir()
    (repo / "fake").mkdir()
    git("worktree", "add", "-q", "-b", "y", tmp_path / "y", cwd=other)
    shutil.copy(tmp_path / "y" / ".git", repo / "fake")
    roots = [repo.as_uri(), strange.as_uri()]
    before = state(repo)
    outside = [other, repo / "out", repo / ".." / "demo2", "../demo2", "/", tmp_path, tmp_path / "y", repo / "fake"]

    async def act(session: Session) -> None:
        for where in [*outside, strange, tmp_path / "nothing"]:
            for tool in ("create_worktree", "suggest_branch_name", "rename_branch", "list_worktrees"):
                more = {} if tool == "list_worktrees" else {"prompt": TASK}
                assert "outside of what the client's roots allow" in await session.fail(
                    tool, repository=str(where), **more
                ), (tool, where)
            assert "outside of what" in await session.fail("remove_worktree", name="y", repository=str(where))
        assert state(repo) == before
        for where in (repo, repo / "sub", "sub", "", place):
            assert len((await session.call("list_worktrees", repository=str(where)))["worktrees"]) == 2

    talk(act, tmp_path, roots=roots, elicit=answering("no"))


@pytest.mark.filterwarnings("ignore:The roots capability is deprecated")
@pytest.mark.parametrize("mode", MODES)
def test_roots_may_change(repo: Path, tmp_path: Path, mode: str) -> None:
    other = make_repository(tmp_path / "other")
    roots = [other.as_uri()]

    async def act(session: Session) -> None:
        assert "outside" in await session.fail("create_worktree", prompt=TASK, repository=str(repo))
        roots[:] = [repo.as_uri()]
        if mode == "legacy":
            await session.client.send_roots_list_changed()
        made = await session.call("create_worktree", prompt=TASK)
        assert Path(made["path"]).parent == repo.parent / "demo.worktrees"
        assert "outside" in await session.fail("list_worktrees", repository=str(other))
        roots[:] = []
        assert "name no folder" in await session.fail("list_worktrees")

    talk(act, other, mode=mode, roots=roots)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("mode", MODES)
def test_roots_that_are_no_files_are_left_out(repo: Path, tmp_path: Path, mode: str) -> None:
    other = make_repository(tmp_path / "other")
    roots = ["vscode-vfs://github/a/b", "", repo.as_uri(), "https://example.org/"]

    async def act(session: Session) -> None:
        assert [one["path"] for one in (await session.call("list_worktrees"))["worktrees"]] == [str(repo)]
        assert "outside" in await session.fail("list_worktrees", repository=str(other))
        roots[:] = ["vscode-vfs://github/a/b"]
        assert "the client's roots name no folder" in await session.fail("list_worktrees")

    talk(act, other, mode=mode, roots=roots)


SILENT = "the client does not say what its roots are; open a folder in it, and call again"


def test_roots_that_a_client_does_not_say(repo: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    before = state(repo)
    answers: list[tuple[dict[str, object] | None, str]] = [
        # Who has no such request has no roots, and is treated as one who declares none.
        ({"error": {"code": -32601, "message": "no such method"}}, str(repo)),
        ({"error": {"code": -32603, "message": "out of order"}}, SILENT),
        ({"result": {"roots": None}}, SILENT),
        (None, SILENT),
        ({"result": {"roots": [{"uri": other.as_uri()}]}}, str(other)),
    ]
    with wire(repo, roots={}) as client:
        for number, (answer, expected) in enumerate(answers):
            client.call(number, "list_worktrees")
            asked = client.hear()
            assert asked["method"] == "roots/list"
            if answer:
                client.say({"id": asked["id"], **answer})
            while "result" not in (told := client.hear()):
                assert told["method"] == "notifications/cancelled" and answer is None
            assert told["id"] == number
            if expected is SILENT:
                assert told["result"]["isError"] and told["result"]["content"][0]["text"] == expected
            else:
                assert [one["path"] for one in told["result"]["structuredContent"]["worktrees"]] == [expected]
    assert state(repo) == before


def test_without_roots_it_is_where_the_server_was_started(repo: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    git("-C", other, "branch", "theirs")

    async def here(session: Session) -> None:
        assert [one["path"] for one in (await session.call("list_worktrees"))["worktrees"]] == [str(repo)]
        assert "outside" in await session.fail("list_worktrees", repository=str(other))

    talk(here, repo, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(other))  # as from a hook

    async def there(session: Session) -> None:
        assert "outside" in await session.fail("list_worktrees", repository=str(repo))
        assert [one["path"] for one in (await session.call("list_worktrees"))["worktrees"]] == [str(other)]

    talk(there, repo, "--root", str(other))

    async def nowhere(session: Session) -> None:
        assert "name no folder" in await session.fail("list_worktrees", repository=str(repo))

    talk(nowhere, Path("/"))


def test_a_worktree_alone_is_open(repo: Path, place: Path) -> None:
    before = state(repo)

    async def act(session: Session) -> None:
        for tool in ("create_worktree", "list_worktrees"):
            more = {"prompt": TASK} if tool == "create_worktree" else {}
            assert f"the main worktree of that repository ({repo}) is outside" in await session.fail(tool, **more)
        assert state(repo) == before
        assert (await session.call("rename_branch", name="its-task"))["branch"] == "wt-its-task"

    talk(act, place, roots=[place.as_uri()])


def test_undo_moves_no_folder(run: Run, repo: Path, place: Path) -> None:
    assert run("rename", "--move", "--name", "moved", "-C", place).exit_code == 0
    moved = place.with_name("wt-moved")
    before = state(repo)

    async def act(session: Session) -> None:
        text = await session.fail("rename_branch", undo=True)
        assert f"its folder would go back to {place}" in text and "wtname rename --undo" in text
        assert state(repo) == before
        assert (await session.call("rename_branch", name="again"))["path"] == str(moved)
        back = await session.call("rename_branch", undo=True)
        assert (back["branch"], back["path"]) == ("wt-moved", str(moved))

    talk(act, moved, roots=[moved.as_uri()])


def test_a_repository_does_not_say_where_worktrees_go(repo: Path, tmp_path: Path) -> None:
    far = tmp_path / "far" / "away"
    git("config", "wtname.path", f"{far}/{{branch}}", cwd=repo)
    before = state(repo)

    async def act(session: Session) -> None:
        assert "own wtname.path puts worktrees into" in await session.fail("create_worktree", prompt=TASK)
        assert state(repo) == before
        git("config", "--global", "wtname.path", f"{far}/{{branch}}")
        git("config", "--unset", "wtname.path", cwd=repo)
        assert Path((await session.call("create_worktree", prompt=TASK))["path"]).parent == far
        git("config", "wtname.path", "../{branch}", cwd=repo)
        assert Path((await session.call("create_worktree", prompt=TASK))["path"]).parent == tmp_path

    talk(act, repo)
