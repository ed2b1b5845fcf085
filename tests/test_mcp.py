from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Run, git, make_repository

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'wtname[mcp]'")

from mcp_types import ElicitResult

from tests.mcp_client import MODES, OTHER, TASK, TOOLS, Session, answering, state, talk, wire
from wtname.serving.words import ENDS, STARTS

DOCS = ROOT / "docs" / "mcp.md"
LOST = "among them commits of the repository vendor/lib that are nowhere else"


@pytest.fixture
def place(repo: Path) -> Path:
    """A worktree on the branch wt-x."""
    path = repo.parent / "demo.worktrees" / "wt-x"
    git("worktree", "add", "-q", "-b", "wt-x", path, cwd=repo)
    return path


@pytest.mark.parametrize("mode", MODES)
def test_what_a_client_is_told(repo: Path, mode: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`.*?`) \|", DOCS.read_text("utf-8"), re.M)
    documented = {tool: set(re.findall(r"`(\w+)`", arguments)) for tool, arguments in rows}

    async def act(session: Session) -> None:
        client = session.client
        assert client.server_info.name == "wtname" and "create_worktree" in (client.instructions or "")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == TOOLS.keys()
        for name, hints in TOOLS.items():
            said = tools[name].annotations
            assert said and said.title
            told = (said.read_only_hint, said.destructive_hint, said.idempotent_hint, said.open_world_hint)
            assert told == hints, name
            assert len(tools[name].description or "") > 80
            assert not re.search(r"\s{2}|\n", tools[name].description or "")
            properties = tools[name].input_schema["properties"]
            assert tools[name].input_schema["additionalProperties"] is False
            assert all(one.get("description") for one in properties.values()), name
            assert {"ctx", "roots", "plan", "answer"}.isdisjoint(properties) and "repository" in properties
            assert (tools[name].output_schema or {})["properties"]
            assert set(properties) == documented[name]

    talk(act, repo, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_from_a_task_to_a_worktree_and_back(run: Run, repo: Path, mode: str) -> None:
    name, other = (run("suggest", task).stdout.strip() for task in (TASK, OTHER))
    asked: list[str] = []

    async def act(session: Session) -> None:
        [one] = (await session.call("suggest_branch_name", prompt=TASK))["names"]
        assert (one["name"], one["branch"], one["source"]) == (name, f"wt-{name}", "model")
        made = await session.call("create_worktree", prompt=TASK)
        path = Path(made["path"])
        assert (made["branch"], made["source"], made["notes"]) == (f"wt-{name}", "model", [])
        assert path == repo.parent / "demo.worktrees" / f"wt-{name}"
        assert git("branch", "--show-current", cwd=path) == made["branch"]
        assert git("config", f"branch.{made['branch']}.description", cwd=repo) == TASK
        [again] = (await session.call("suggest_branch_name", prompt=TASK, repository=str(repo)))["names"]
        assert again["branch"] == f"wt-{name}-2"
        (path / "new").write_text("mine")
        rows = {one["branch"]: one for one in (await session.call("list_worktrees"))["worktrees"]}
        assert rows.keys() == {"main", made["branch"]} and rows["main"]["current"]
        assert rows[made["branch"]]["state"] == ["1 changed", "new"] and rows[made["branch"]]["task"] == TASK
        renamed = await session.call("rename_branch", prompt=OTHER, repository=str(path))
        assert (renamed["old"], renamed["changed"]) == (made["branch"], True)
        assert git("branch", "--show-current", cwd=path) == renamed["branch"] == f"wt-{other}"
        back = await session.call("rename_branch", undo=True, repository=str(path))
        assert back["branch"] == made["branch"] == git("branch", "--show-current", cwd=path)
        gone = await session.call("remove_worktree", name=made["branch"])
        assert gone["removed"] and gone["branch_deleted"] and not path.exists()
        assert run(*shlex.split(gone["restore"])[1:]).exit_code == 0 and (path / "new").read_text() == "mine"

    talk(act, repo, mode=mode, roots=[repo.as_uri()], elicit=answering("yes", asked=asked))
    [question] = asked
    assert f"wt-{name}" in question and "it has 1 changed file." in question and "--force" not in question


@pytest.mark.parametrize("mode", MODES)
def test_nothing_goes_without_a_yes(repo: Path, place: Path, mode: str) -> None:
    before = state(repo)

    async def act(session: Session) -> None:
        for why in ("did not want", "did not want", "did not answer"):
            stays = await session.call("remove_worktree", name="wt-x")
            assert not stays["removed"] and why in stays["why"] and stays["restore"] is None
            assert state(repo) == before
        assert "the main worktree" in await session.fail("remove_worktree", name="main")
        assert (await session.call("remove_worktree", name="wt-x"))["removed"]

    talk(act, repo, mode=mode, elicit=answering("no", "decline", "cancel", "yes"))
    assert not place.exists()


def change(place: Path) -> None:
    (place / "README").write_text("changed")


def commit(place: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=place)


def ignored(place: Path) -> None:
    (place / ".gitignore").write_text(".gitignore\nsecret\n")
    (place / "secret").write_text("x")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (change, "it has 1 changed file, and this client cannot ask the user; let the user run: wtname remove --force"),
        (commit, "it has 1 commit neither merged into main nor pushed, and this client cannot ask"),
        (ignored, "2 ignored files or folders would go for good, and this client cannot ask"),
        (None, ""),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_client_that_cannot_ask_removes_what_can_be_restored(
    repo: Path, place: Path, make: Callable[[Path], None] | None, why: str
) -> None:
    if make:
        make(place)
    before = state(repo)

    async def act(session: Session) -> None:
        if why:
            assert why in await session.fail("remove_worktree", name="wt-x")
            assert state(repo) == before
        else:
            gone = await session.call("remove_worktree", name="wt-x")
            assert gone["removed"] and gone["restore"].startswith("wtname restore wt-x")

    talk(act, repo)
    assert place.exists() == bool(why)


def test_who_is_asked_hears_what_no_restore_brings_back(repo: Path, place: Path) -> None:
    asked: list[str] = []
    change(place)
    ignored(place)
    (place / ".gitignore").write_text(".gitignore\nvendor/\n")
    inner = make_repository(place / "vendor" / "lib")

    async def act(session: Session) -> None:
        assert not (await session.call("remove_worktree", name="wt-x"))["removed"]
        git("remote", "add", "origin", repo, cwd=inner)  # pushed, it is no loss any more
        git("update-ref", "refs/remotes/origin/main", "HEAD", cwd=inner)
        assert not (await session.call("remove_worktree", name="wt-x"))["removed"]
        git("commit", "-q", "--allow-empty", "-m", "work", cwd=inner)
        assert LOST in (await session.call("remove_worktree", name="wt-x"))["notes"][1]

    talk(act, repo, elicit=answering("no", "no", "yes", asked=asked))
    assert [LOST in one for one in asked] == [True, False, True]
    assert all("Beware: it has 2 changed files." in one and "2 ignored files" in one for one in asked)


@pytest.mark.parametrize("mode", MODES)
def test_a_yes_is_for_what_was_asked(repo: Path, place: Path, mode: str) -> None:
    asked: list[str] = []

    async def elicit(ctx: object, params: Any) -> ElicitResult:
        asked.append(params.message)
        change(place)  # somebody goes on working while the human thinks
        return ElicitResult(action="accept", content={"remove": mode == "legacy"})

    async def act(session: Session) -> None:
        if mode == "legacy":
            assert "has changed since it was asked for" in await session.fail("remove_worktree", name="wt-x")
        else:  # there, the question is put once more
            assert not (await session.call("remove_worktree", name="wt-x"))["removed"]
            assert ["1 changed" in one for one in asked] == [False, True]

    talk(act, repo, mode=mode, elicit=elicit)
    assert (place / "README").read_text() == "changed"


def test_paths_that_are_no_text(repo: Path) -> None:
    odd = os.fsencode(repo.parent) + b"/demo.worktrees/\xff"
    try:
        subprocess.run(["git", "worktree", "add", "-q", "-b", "wt-x", odd], cwd=repo, check=True, capture_output=True)
    except subprocess.CalledProcessError:
        pytest.skip("this file system takes no such name")

    async def act(session: Session) -> None:
        rows = {one["branch"]: one["path"] for one in (await session.call("list_worktrees"))["worktrees"]}
        assert rows["wt-x"].endswith("/\\xff")
        assert not (await session.call("remove_worktree", name="wt-x"))["removed"]
        assert (await session.call("remove_worktree", name="wt-x"))["path"].endswith("/\\xff")

    talk(act, repo, roots=[repo.as_uri()], elicit=answering("no", "yes"))
    assert not os.path.exists(odd)


@pytest.mark.parametrize("model", ["missing.gguf", "README"])
def test_without_a_model_the_words_name_it(run: Run, repo: Path, tmp_path: Path, model: str) -> None:
    log = tmp_path / "log"

    async def act(session: Session) -> None:
        [one] = (await session.call("suggest_branch_name", prompt="Add a dark mode toggle"))["names"]
        assert (one["name"], one["source"], one["confidence"]) == ("feat-dark-mode-toggle", "extract", None)
        made = await session.call("create_worktree", prompt="Add a dark mode toggle")
        assert (made["branch"], made["source"]) == ("wt-feat-dark-mode-toggle", "extract")
        assert "picked from the words" in made["notes"][0] and model not in str(made)

    talk(act, repo, "--model", model, log=log)
    assert log.read_text() == ""


def test_no_task_is_no_error_and_no_name(repo: Path, place: Path) -> None:
    async def act(session: Session) -> None:
        [one] = (await session.call("suggest_branch_name", prompt="hi"))["names"]
        assert one["name"] is None and re.fullmatch("wt-[0-9a-f]{8}", one["branch"]) and one["source"] == "random"
        made = await session.call("create_worktree", prompt="continue")
        assert re.fullmatch("wt-[0-9a-f]{8}", made["branch"]) and "names no task" in made["notes"][0]
        text = await session.fail("rename_branch", repository=str(place))
        assert "pass a prompt or a name" in text and git("branch", "--show-current", cwd=place) == "wt-x"
        git("commit", "-q", "--allow-empty", "-m", "Retry the login with backoff", cwd=place)
        assert (await session.call("rename_branch", repository=str(place)))["changed"]
        assert "pass a prompt or a name" in await session.fail("create_worktree")

    talk(act, repo)


HOSTILE = [
    "--upload-pack=touch pwned",
    "$(touch pwned) `touch pwned`",
    "fix \x1b]0;pwned\x07 it\x00\u202e",
    "a \x1b[31m\nb",
    "-",
]


def test_hostile_text(repo: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"

    async def act(session: Session) -> None:
        for text in HOSTILE:
            made = await session.call("create_worktree", prompt=text)
            git("check-ref-format", "refs/heads/" + made["branch"])
            assert "\x1b" not in json.dumps(made, ensure_ascii=False)
            before = state(repo)
            for arguments in (
                {"name": text + "\n.."},
                {"name": "x", "base": text},
                {"name": "x", "ticket": text + "~"},
            ):
                if not (text == "-" and "base" in arguments):
                    assert "\x1b" not in await session.fail("create_worktree", **arguments)
            assert "\x1b" not in await session.fail("remove_worktree", name=text)
            for where in (text, "/" + text):
                said = await session.fail("list_worktrees", repository=where)
                assert "\x1b" not in said and "\n" not in said
            assert state(repo) == before
        made = await session.call("create_worktree", prompt="Fix the login redirect\n" + "and so on\n" * 100_000)
        git("check-ref-format", "refs/heads/" + made["branch"])
        assert git("config", f"branch.{made['branch']}.description", cwd=repo).startswith("Fix the login redirect\n")
        for tool, arguments in (
            ("suggest_branch_name", {}),
            ("suggest_branch_name", {"prompt": 7}),
            ("suggest_branch_name", {"prompt": "x", "count": 0}),
            ("suggest_branch_name", {"prompt": "x", "count": 21}),
            ("no_such_tool", {}),
        ):
            with_error = await session.raw(tool, **arguments)
            assert with_error.is_error
        [one] = (await session.call("suggest_branch_name", prompt='["fix", "the login"]'))["names"]  # no JSON to us
        assert one["name"] and "login" in one["name"]

    talk(act, repo, log=log)
    assert not list(tmp_path.rglob("pwned")) and "Traceback" not in log.read_text()


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("suggest_branch_name", {}, "prompt is missing; give text"),
    ("suggest_branch_name", {"prompt": None}, "prompt is null; give text"),
    ("suggest_branch_name", {"prompt": ["x" * 100]}, f'prompt is ["{"x" * 77}…; give text'),
    ("suggest_branch_name", {"prompt": "x", "count": 0}, "count is 0; give a whole number from 1 to 20"),
    ("suggest_branch_name", {"prompt": "x", "count": "many"}, 'count is "many"; give a whole number from 1 to 20'),
    ("rename_branch", {"undo": "\x1b"}, r'undo is "\u001b"; give true or false'),
    (
        "create_worktree",
        {"prompt": TASK, "branch": "x"},
        "branch is no argument of create_worktree; it takes prompt, name, base, ticket, repository",
    ),
    ("no_tool", {}, f"there is no tool 'no_tool'; take one of {', '.join(TOOLS)}"),
]
CLI_WORDS: list[tuple[str, dict[str, object], str]] = [
    (
        "create_worktree",
        {"name": "x", "base": "nope"},
        "no single commit is called 'nope'; fetch it or pass another base",
    ),
    ("create_worktree", {"name": "x", "base": "-x"}, "'-x' is not a reference; give a branch, tag or commit as base"),
    ("create_worktree", {"name": "x..y"}, "pass another name, or let the user change wtname.template"),
    ("create_worktree", {"name": "x", "ticket": "a b"}, "ticket 'a b' cannot stand in a branch's name; "),
    ("remove_worktree", {"name": "nope"}, "no worktree is called 'nope'; list_worktrees shows them"),
    ("rename_branch", {"name": "x"}, "main is the default branch; make a branch for the task with create_worktree"),
]


def test_errors_are_one_line_in_the_words_of_tools(repo: Path, place: Path) -> None:
    before = state(repo)

    async def act(session: Session) -> None:
        for tool, arguments, line in WRONG:
            assert await session.fail(tool, **arguments) == line
        for tool, arguments, part in CLI_WORDS:
            said = await session.fail(tool, **arguments)
            assert part in said and "--" not in said and "\n" not in said
        assert state(repo) == before
        made = await session.call("create_worktree", prompt=TASK, name=None, base=None, repository=None)
        assert made["source"] == "model"

    talk(act, repo)


def test_what_is_said_to_agents_stands_for_what_is_said_to_people() -> None:
    source = [file.read_text("utf-8") for file in (ROOT / "wtname").rglob("*.py") if file.parent.name != "serving"]
    assert [said for said in (*STARTS, *ENDS) if not any(said in text for text in source)] == []


@pytest.mark.parametrize("mode", MODES)
def test_a_yes_that_says_nothing_is_none(repo: Path, place: Path, mode: str) -> None:
    answers: list[ElicitResult] = [
        ElicitResult(action="accept"),
        ElicitResult(action="accept", content={}),
        ElicitResult(action="accept", content={"remove": "perhaps"}),
    ]
    before = state(repo)

    async def elicit(ctx: object, params: Any) -> ElicitResult:
        return answers.pop(0)

    async def act(session: Session) -> None:
        while answers:
            said = await session.fail("remove_worktree", name="wt-x")
            assert said.startswith("the client's answer is neither yes nor no, so nothing was done; ")
            assert "\n" not in said and state(repo) == before

    talk(act, repo, mode=mode, elicit=elicit)


def test_a_client_that_asks_nobody_removes_nothing(repo: Path, place: Path) -> None:
    before = state(repo)
    with wire(repo, elicitation={}) as client:
        client.call(1, "remove_worktree", name="wt-x")
        asked = client.hear()
        assert asked["method"] == "elicitation/create"
        client.say({"id": asked["id"], "error": {"code": -32601, "message": "nobody\nhere"}})
        told = client.hear()["result"]
    assert told["isError"] and state(repo) == before
    assert told["content"][0]["text"].startswith("the client cannot ask its user: nobody\\nhere, so nothing was done; ")


def test_no_repository(tmp_path: Path) -> None:
    async def act(session: Session) -> None:
        for tool in TOOLS:
            arguments = {"name": "x"} if tool == "remove_worktree" else {} if "list" in tool else {"prompt": TASK}
            text = await session.fail(tool, repository=str(tmp_path), **arguments)
            assert "not a git repository" in text and "\n" not in text
        assert "there is no folder" in await session.fail("list_worktrees", repository="nothing")
        assert (await session.call("suggest_branch_name", prompt=TASK))["names"]

    talk(act, tmp_path)


@pytest.mark.parametrize("module", ["mcp", "mcp.server.mcpserver", "pydantic"])
def test_without_the_sdk(module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from wtname.cli import main; main(['mcp'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "wtname: the MCP SDK is not installed, or too old; pip install 'wtname[mcp]'\n"


def test_no_other_command_imports_the_sdk(repo: Path) -> None:
    code = "import sys; from wtname.cli import main; main({!r}, standalone_mode=False); print('mcp' in sys.modules)"
    for args in (["--help"], ["mcp", "--help"], ["new", "--name", "x"], ["list"]):
        done = subprocess.run([sys.executable, "-c", code.format(args)], capture_output=True, text=True, cwd=repo)
        assert done.stdout.endswith("False\n"), done.stderr


def test_configurations_in_the_documentation() -> None:
    blocks = re.findall(r"```(json|toml)\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    assert len(blocks) == 4
    for kind, block in blocks:
        if kind == "json":
            [servers] = json.loads(block).values()
        else:
            servers = pytest.importorskip("tomllib", reason="from Python 3.11 on").loads(block)["mcp_servers"]
        server = servers["wtname"]
        assert (server["command"], server["args"]) == ("wtname", ["mcp"])
