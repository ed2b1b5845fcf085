from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Run, git, snapshot
from tests.test_faults import ask
from tests.test_removal import TRASH, add, branches, commit, conflict, in_shell, meanwhile, trash

ODD = ["ada/fix/x", "prés/日本語", "x/-dash", "a--force", "ключ", "ü%s", "semi;colon$(x)", "a'b\"c", "{brace}", "@at#1"]


@pytest.fixture
def place(repo: Path) -> Path:
    """The worktree of the branch wt-x."""
    return add(repo, "wt-x", "wt-x")


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_everything_comes_back(run: Run, repo: Path, place: Path) -> None:
    commit(place, "script", "#!/bin/sh\n")
    (place / "script").chmod(0o755)
    (place / "README").unlink()
    (place / "link").symlink_to("script")
    (place / "Ünï — 日本.txt").write_text("words\n")
    (place / " spaced \ttab").write_bytes(b"\0\xff\r\n")
    (place / "both").write_text("staged\n")
    git("add", "both", cwd=place)
    (place / "both").write_text("changed again\n")
    git("config", "branch.wt-x.description", "Fix it\n\nall of it", cwd=repo)
    git("config", "branch.wt-x.remote", "origin", cwd=repo)
    git("config", "branch.wt-x.merge", "refs/heads/x", cwd=repo)
    settings = git("config", "--get-regexp", "^branch", cwd=repo)
    status, files = git("status", "--porcelain=v2", cwd=place), snapshot(place, repo)[1]
    assert run("remove", "--force", "x").exit_code == 0
    assert git("config", "--get-regexp", "^branch", cwd=repo, code=1) == ""
    listed = json.loads(run("restore", "--list", "--json").stdout)
    assert (listed[0]["branch"], listed[0]["description"]) == ("wt-x", "Fix it\n\nall of it")
    assert json.loads(run("restore", "x", "--json").stdout)["branch"] == "wt-x"
    assert git("status", "--porcelain=v2", cwd=place) == status
    assert snapshot(place, repo)[1] == files
    assert os.access(place / "script", os.X_OK) and (place / "link").is_symlink()
    assert sorted(git("config", "--get-regexp", "^branch", cwd=repo)) == sorted(settings)
    assert trash(repo) == []


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_changes_that_git_was_told_not_to_see(run: Run, repo: Path, place: Path, flag: str) -> None:
    git("update-index", flag, "README", cwd=place)
    (place / "README").write_text("mine\n")
    assert run("remove", "x").exit_code == 0
    assert run("restore").exit_code == 0
    assert (place / "README").read_text() == "mine\n"


def test_what_a_rebase_stashed_is_kept(run: Run, repo: Path, place: Path) -> None:
    conflict(repo, place)
    commit(place, "other")
    (place / "other").write_text("stashed\n")
    in_shell("rebase --autostash main", place)
    assert "stashed" not in (place / "other").read_text() if (place / "other").exists() else True
    assert run("remove", "--force", place).exit_code == 0
    (ref,) = trash(repo)
    held = git("rev-list", ref, cwd=repo).split()
    assert "stashed" in [ask("show", f"{oid}:other", cwd=repo).strip() for oid in held]
    assert "wt-x" in branches(repo)


def test_nobodys_name_is_needed(run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("config", "--global", "--remove-section", "user", cwd=repo)
    git("config", "user.useConfigOnly", "true", cwd=repo)
    git("config", "commit.gpgSign", "true", cwd=repo)
    (place / "new").write_text("new\n")
    assert run("remove", "--force", "x").exit_code == 0
    assert run("restore").exit_code == 0
    assert (place / "new").read_text() == "new\n"


def test_users_index_is_not_touched(run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "new").touch()
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo / ".git" / "index"))
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    before = (repo / ".git" / "index").read_bytes()
    assert run("remove", "--force", place).exit_code == 0
    assert (repo / ".git" / "index").read_bytes() == before


# --- restore ---------------------------------------------------------------------------------------------------------


def test_restore_beside_what_is_there_now(run: Run, repo: Path, place: Path) -> None:
    (place / "new").write_text("old work\n")
    run("remove", "--force", "x")
    git("worktree", "add", "-q", "-b", "wt-x", place, cwd=repo)
    done = run("restore", "--json")
    made = json.loads(done.stdout)
    assert (made["branch"], made["path"]) == ("wt-x-2", f"{place}-2")
    assert "wt-x-2" in done.stderr
    assert (place.with_name("wt-x-2") / "new").read_text() == "old work\n"
    assert not (place / "new").exists()


def test_restore_the_last_or_by_name(run: Run, repo: Path, place: Path) -> None:
    assert "nothing is in the trash" in run("restore").stderr
    for text in ("one", "two"):
        (place / "new").write_text(text)
        run("remove", "--force", "wt-x")
        git("worktree", "add", "-q", "-b", "wt-x", place, cwd=repo)
    run("remove", "wt-x")
    names = [line.split("\t")[0] for line in run("restore", "--list").stdout.splitlines()]
    assert len(names) == 3 and len(set(names)) == 3
    assert run("restore", names[1]).exit_code == 0
    assert (place / "new").read_text() == "two"
    assert "the trash has no 'nope'" in run("restore", "nope").stderr
    run("restore", names[2], "--json")
    assert (place.with_name("wt-x-2") / "new").read_text() == "one"


def test_restore_a_detached_head(run: Run, repo: Path, place: Path) -> None:
    git("checkout", "-q", "--detach", cwd=place)
    head = commit(place)
    (place / "new").touch()
    run("remove", "--force", place)
    assert run("restore").stdout == f"{place}\n"
    assert git("branch", "--show-current", cwd=place) == ""
    assert git("rev-parse", "HEAD", cwd=place) == head and (place / "new").exists()


def test_restore_puts_nothing_far_away(
    run: Run, repo: Path, place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A commit that came from elsewhere may claim anything."""
    far = tmp_path_factory.mktemp("far") / "autostart"
    head = git("rev-parse", "HEAD", cwd=repo)
    settings = {"description": ["x"], "mergeoptions": ["--evil"], "remote": ["origin"]}
    facts = {"branch": "wt-z", "path": str(far), "head": head, "staged": None, "own": True, "settings": settings}
    oid = git("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "Removed", "-m", json.dumps(facts), cwd=repo)
    git("update-ref", f"{TRASH}/wt-z/20260102T030405Z", oid, cwd=repo)
    assert run("restore").stdout == f"{place.with_name('wt-z')}\n"
    assert not far.exists()
    assert "evil" not in git("config", "--local", "--list", cwd=repo)


@pytest.mark.parametrize("body", ["", "not json", "[]", "{}", '{"branch": 1}'])
def test_restore_passes_over_what_is_not_ours(run: Run, repo: Path, body: str) -> None:
    oid = git("commit-tree", "HEAD^{tree}", "-m", "x", "-m", body, cwd=repo)
    git("update-ref", f"{TRASH}/wt-z/20260102T030405Z", oid, cwd=repo)
    git("update-ref", f"{TRASH}/wt-z/blob", git("rev-parse", "HEAD:README", cwd=repo), cwd=repo)
    assert "nothing is in the trash" in run("restore").stderr
    assert run("restore", "--list").stdout == ""


@pytest.mark.parametrize("branch", ODD)
def test_odd_branches(run: Run, repo: Path, branch: str) -> None:
    place = add(repo, branch, "odd")
    (place / "new").write_text("new\n")
    git("config", f"branch.{branch}.description", "Fix — it", cwd=repo)
    refs = git("for-each-ref", cwd=repo)
    refused = run("remove", branch)
    assert (refused.exit_code, refused.stdout) == (1, "") and "1 changed file" in refused.stderr
    assert run("remove", "--force", branch).stdout == f"{place}\n"
    assert branches(repo) == ["main"]
    git("fsck", "--no-progress", cwd=repo)
    (kept,) = json.loads(run("restore", "--list", "--json").stdout)
    assert kept["branch"] == branch
    name = run("restore", "--list").stdout.split("\t")[0]
    assert run("restore", name).stdout == f"{place}\n"
    assert git("branch", "--show-current", cwd=place) == branch
    assert (git("for-each-ref", cwd=repo), (place / "new").read_text()) == (refs, "new\n")
    assert git("config", f"branch.{branch}.description", cwd=repo) == "Fix — it"


@pytest.mark.parametrize("folder", ["-dash", "--force", "a b", "日本"])
def test_odd_folders(run: Run, repo: Path, folder: str) -> None:
    place = add(repo, "wt-x", folder)
    (place / "new").touch()
    before = snapshot(repo.parent, repo)
    assert run("remove", "--", folder).exit_code == 1
    assert snapshot(repo.parent, repo) == before
    assert run("remove", "--force", "--", place).stdout == f"{place}\n"
    assert run("restore", "wt-x").stdout == f"{place}\n"
    assert (place / "new").exists()


@pytest.mark.parametrize(
    ("taken", "branch", "folder"),
    [
        (["branch"], "wt-x-2", "wt-x-2"),
        (["folder"], "wt-x", "wt-x-2"),
        (["file"], "wt-x", "wt-x-2"),
        (["below"], "wt-x-2", "wt-x-2"),
        ([], "wt-x", "wt-x"),
    ],
)
def test_restore_where_one_is_taken(
    run: Run, repo: Path, place: Path, taken: list[str], branch: str, folder: str
) -> None:
    (place / "new").write_text("new\n")
    assert run("remove", "--force", "wt-x").exit_code == 0
    if "branch" in taken:
        git("commit", "-q", "--allow-empty", "-m", "theirs", cwd=repo)
        git("branch", "wt-x", cwd=repo)
    if "below" in taken:
        git("branch", "wt-x/y", cwd=repo)
    if "folder" in taken:
        place.mkdir(parents=True)
        (place / "mine").touch()
    if "file" in taken:
        place.parent.mkdir(exist_ok=True)
        place.write_text("mine")
    done = json.loads(run("restore", "--json").stdout)
    assert done["branch"] == branch
    back = Path(done["path"])
    assert (back / "new").read_text() == "new\n" and git("branch", "--show-current", cwd=back) == branch
    if {"folder", "file"} & set(taken):
        assert back == place.with_name(folder)
        assert (place / "mine").exists() if "folder" in taken else place.read_text() == "mine"


def test_restore_beside_an_empty_folder(run: Run, repo: Path, place: Path) -> None:
    assert run("remove", "wt-x").exit_code == 0
    place.mkdir(parents=True)
    assert run("restore").stdout == f"{place}-2\n"
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("force", [["--force"], []])
def test_keep_branch_keeps_its_config(run: Run, repo: Path, place: Path, force: list[str]) -> None:
    git("config", "branch.wt-x.description", "Fix it", cwd=repo)
    if force:
        (place / "new").touch()
    assert run("remove", "--keep-branch", *force, "wt-x").exit_code == 0
    assert git("config", "branch.wt-x.description", cwd=repo) == "Fix it"
    assert run("restore").exit_code == 0
    assert git("branch", "--show-current", cwd=place) == "wt-x" and (place / "new").exists() == bool(force)


def test_sparse_checkout_comes_back_full(run: Run, repo: Path) -> None:
    for folder in ("a", "b"):
        (repo / folder).mkdir()
        commit(repo, f"{folder}/file")
    place = add(repo, "wt-x", "wt-x")
    git("sparse-checkout", "set", "a", cwd=place)
    (place / "a" / "file").write_text("changed\n")
    assert not (place / "b").exists()
    assert run("remove", "--force", "wt-x").exit_code == 0
    assert run("restore").exit_code == 0
    assert (place / "b" / "file").exists() and git("status", "--porcelain", cwd=place) == "M a/file"


def test_mirrors_take_the_trash_along(run: Run, repo: Path, place: Path, tmp_path: Path) -> None:
    """As the documentation warns."""
    run("remove", "wt-x")
    git("init", "-q", "--bare", tmp_path / "copy")
    git("push", "-q", "--mirror", tmp_path / "copy", cwd=repo)
    assert trash(tmp_path / "copy") == trash(repo)
    git("update-ref", "-d", *trash(repo), cwd=repo)
    git("remote", "add", "--mirror=fetch", "origin", repo, cwd=tmp_path / "copy")
    git("fetch", "-q", "--prune", "origin", cwd=tmp_path / "copy")
    assert trash(tmp_path / "copy") == []


# --- settings and reflogs --------------------------------------------------------------------------------------------

SETTINGS = {
    "description": "Fix it",
    "remote": "origin",
    "merge": "refs/heads/x",
    "mergeoptions": "--no-ff",
    "gh-merge-base": "main",
    "rebase": "true",
    "pushremote": "fork",
    "vscode-merge-base": "origin/main",
}


def configure(repo: Path, settings: dict[str, str], branch: str = "wt-x") -> None:
    for key, value in settings.items():
        git("config", f"branch.{branch}.{key}", value, cwd=repo)


def settings_of(repo: Path, branch: str = "wt-x") -> dict[str, str]:
    lines = git("config", "--get-regexp", r"^branch\.", cwd=repo).splitlines()
    return {key.split(".")[2]: value for key, _, value in (line.partition(" ") for line in lines) if branch in key}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (None, SETTINGS),
        ({}, SETTINGS),
        ({"description": "Theirs", "remote": "mine"}, {**SETTINGS, "description": "Theirs", "remote": "mine"}),
    ],
    ids=["gone", "made again", "made again and described"],
)
def test_settings_come_back(
    run: Run, repo: Path, place: Path, now: dict[str, str] | None, expected: dict[str, str]
) -> None:
    tip = commit(place)
    configure(repo, SETTINGS)
    assert run("remove", "--force", "wt-x").exit_code == 0
    if now is not None:
        git("branch", "wt-x", tip, cwd=repo)
        configure(repo, now)
    assert run("restore").stdout == f"{place}\n"
    assert settings_of(repo) == expected and trash(repo) == []


def test_settings_of_a_branch_that_moved_on_stay(run: Run, repo: Path, place: Path) -> None:
    configure(repo, SETTINGS)
    run("remove", "wt-x")
    git("commit", "-q", "--allow-empty", "-m", "theirs", cwd=repo)
    git("branch", "wt-x", cwd=repo)
    configure(repo, {"description": "Theirs"})
    assert json.loads(run("restore", "--json").stdout)["branch"] == "wt-x-2"
    assert settings_of(repo, "wt-x.") == {"description": "Theirs"} and settings_of(repo, "wt-x-2.") == SETTINGS


def test_failed_restore_leaves_settings_as_they_were(run: Run, repo: Path, place: Path) -> None:
    tip = commit(place)
    configure(repo, SETTINGS)
    run("remove", "--force", "wt-x")
    git("branch", "wt-x", tip, cwd=repo)
    configure(repo, {"remote": "mine"})
    lock = repo / ".git" / "config.lock"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wtname.git.refs.PATIENCE", 0.05)
        meanwhile(patch, "wtname.git.refs.put_setting", lambda: lock.touch())
        assert run("restore").exit_code != 0
    assert len(settings_of(repo)) == 2, "one was set, and could not be taken back"
    lock.unlink()
    run("doctor", "--repair")
    assert settings_of(repo) == {"remote": "mine"} and not place.exists()
    assert len(trash(repo)) == 1 and git("rev-parse", "wt-x", cwd=repo) == tip
    assert run("restore").stdout == f"{place}\n"
    assert settings_of(repo) == {**SETTINGS, "remote": "mine"}


def rework(place: Path) -> list[str]:
    """Commits that only reflogs know afterwards: an amended one, and two of a line that was reset away."""
    made = [commit(place, "amended")]
    git("commit", "-q", "--amend", "-m", "better", cwd=place)
    made += [commit(place, "lost"), commit(place, "lost too")]
    git("reset", "-q", "--hard", "HEAD~2", cwd=place)
    return made


def collect(repo: Path) -> None:
    """Let go of everything that nothing holds; commits here are long past, and reflogs would be, too."""
    git("-c", "gc.reflogExpire=never", "-c", "gc.reflogExpireUnreachable=never", "gc", "-q", "--prune=now", cwd=repo)


def reflogs(place: Path) -> list[str]:
    return [git("reflog", "--format=%H %gs", ref, cwd=place) for ref in ("HEAD", "wt-x")]


def test_commits_of_the_reflog_are_kept(run: Run, repo: Path, place: Path) -> None:
    made = rework(place)
    assert run("remove", "--force", "wt-x").exit_code == 0
    (ref,) = trash(repo)
    git("reflog", "expire", "--expire=now", "--all", cwd=repo)  # none of ours is of use to hold them
    collect(repo)
    for oid in made:
        git("cat-file", "-e", oid, cwd=repo)
    held = git("rev-list", "--parents", "-1", f"{ref}^2", cwd=repo).split()
    assert set(held) & set(made) == {made[0], made[2]}, "the end of a line holds all of it"


def test_reflogs_come_back(run: Run, repo: Path, place: Path) -> None:
    made = rework(place)
    before = reflogs(place)
    assert run("remove", "--force", "wt-x").exit_code == 0
    collect(repo)
    assert run("restore").exit_code == 0
    after = reflogs(place)
    for old, new in zip(before, after, strict=True):
        assert new.endswith("\n" + old), "as it was, and what restoring did"
    collect(repo)
    for oid in made:
        git("cat-file", "-e", oid, cwd=repo)
    # Once more: nothing is doubled.
    run("remove", "--force", "wt-x")
    run("restore")
    assert all(new.endswith("\n" + old) for old, new in zip(after, reflogs(place), strict=True))
    git("fsck", "--no-progress", cwd=repo)


def test_of_long_reflogs_the_end_comes_back(run: Run, repo: Path, place: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    log = repo / ".git" / "logs" / "refs" / "heads" / "wt-x"
    lines = [f"{head} {head} Ada <ada@example.org> {1767323045 + i} +0000\tentry {i}\n" for i in range(250)]
    log.write_text("".join(lines))
    run("remove", "wt-x")
    run("restore")
    assert log.read_text().startswith("".join(lines[50:])) and "entry 49\n" not in log.read_text()


def test_reflog_of_a_plain_branch_holds_nothing_else(run: Run, repo: Path, place: Path) -> None:
    commit(place)
    run("remove", "--force", "wt-x")
    (ref,) = trash(repo)
    head, logs = git("rev-parse", f"{ref}^1", f"{ref}^2", cwd=repo).split()
    assert git("rev-list", "--parents", "-1", logs, cwd=repo) == logs, "no commit is lost, so none is held"
    assert git("show", "-s", "--format=%s", head, cwd=repo) == "change work"


def test_a_branch_that_was_merged_still_is(run: Run, repo: Path, place: Path) -> None:
    """Its reflog tells that somebody worked on it."""
    commit(place)
    git("merge", "-q", "wt-x", cwd=repo)
    run("remove", "wt-x")
    run("restore")
    assert run("prune").stdout == f"{place}\n"


def test_trash_from_elsewhere_sets_little(run: Run, repo: Path, place: Path, tmp_path: Path) -> None:
    """What came with a fetch is restored without the settings that could do harm, and without its reflogs."""
    rework(place)
    configure(repo, SETTINGS)
    run("remove", "--force", "wt-x")
    clone = tmp_path / "clone"
    git("clone", "-q", repo, clone)
    git("-c", "core.logAllRefUpdates=always", "fetch", "-q", "origin", "+refs/wtname/*:refs/wtname/*", cwd=clone)
    path = Path(
        run("restore", "-C", clone, "--json").stdout and git("worktree", "list", cwd=clone).split("\n")[1].split()[0]
    )
    assert settings_of(clone).keys() == {"description", "remote", "merge", "rebase", "pushremote"}
    assert "amend" not in git("reflog", "wt-x", cwd=path)


# --- byte by byte ----------------------------------------------------------------------------------------------------

BYTES = {
    "line ends of a new file": ("* text=auto\n", {}, b"a\r\nb\r\n", True),
    "mixed line ends": ("* text=auto\n", {}, b"a\r\nb\n", True),
    "line ends by the user's settings": ("", {"core.autocrlf": "input"}, b"a\r\nb\r\n", True),
    "outputs": ("* filter=strip\n", {"clean": "sed /^out/d", "smudge": "cat"}, b"in\nout 1\n", True),
    "a filter that cannot write": (
        "* filter=strip\n",
        {"clean": "sed /^out/d", "smudge": "false", "required": "true"},
        b"in\nout 1\n",
        True,
    ),
    "an id": ("* ident\n", {}, b"$Id: mine $\n", True),
    "a filter that gives all back": ("* filter=strip\n", {"clean": "tr ab ba", "smudge": "tr ab ba"}, b"abba\n", False),
    "line ends that git writes": ("* text eol=crlf\n", {}, b"a\r\nb\r\n", False),
    "large files": ("* filter=lfs\n", {"clean": "sed /^out/d"}, b"in\nout 1\n", None),
    "no attributes": ("", {}, b"a\r\nb\r\n", False),
    "binary": ("* -text\n", {"core.autocrlf": "input"}, b"a\r\nb\r\n", False),
}


@pytest.mark.skipif(os.name == "nt", reason="filters are commands of POSIX")
@pytest.mark.parametrize("case", BYTES)
@pytest.mark.parametrize("name", ["new", 'a "b"\\c\nd'], ids=["plain", "odd"])
def test_bytes_come_back(run: Run, repo: Path, case: str, name: str) -> None:
    attributes, config, content, kept = BYTES[case]
    for key, value in config.items():
        driver = "lfs" if "lfs" in attributes else "strip"
        git("config", key if "." in key else f"filter.{driver}.{key}", value, cwd=repo)
    place = add(repo, "wt-x", "wt-x")
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "attributes").write_text(attributes.replace("*", "*[dw]"))
    (place / name).write_bytes(content)
    (place / name).chmod(0o755)
    git("add", "--all", cwd=place)
    git("commit", "-q", "-m", "taken in", cwd=place)
    status = git("status", "--porcelain", cwd=place)
    assert run("remove", "--force", "wt-x").exit_code == 0
    facts = json.loads(git("show", "-s", "--format=%b", *trash(repo), cwd=repo))
    if kept is not None:
        assert (facts["exact"] is not None) == kept
    if config.get("smudge") == "false":
        git("config", "filter.strip.smudge", "cat", cwd=repo)
    done = run("restore")
    assert done.stdout == f"{place}\n", done.stderr
    if kept is None:  # what git-lfs is asked for is its own
        assert facts["exact"] is None
        return
    assert (place / name).read_bytes() == content and os.access(place / name, os.X_OK)
    assert git("status", "--porcelain", cwd=place) == status == ""
