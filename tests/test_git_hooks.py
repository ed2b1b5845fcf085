from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Run, git
from wtname import commit_message, hinting, shim, suggest
from wtname.git import Repository, version

GENERIC, CHOSEN = "wt-3f9a1c2d", "fix-login"
BETTER = "wt-fix-zero-width-column-crash"
TASK = "Fix crash on zero-width columns"
# What an editor saw goes to $SEEN; $SAY comes above it.
EDITOR = '#!/bin/sh\ncat "$1" >>"$SEEN"\n{ printf %s "$SAY"; cat "$1"; } >"$1.new"\ncat "$1.new" >"$1"; rm "$1.new"\n'


class Kind(NamedTuple):
    """Commands, where the suggestion is to be seen (`stderr`, `comments`, or not at all), what a person types into the
    editor, and git config."""

    steps: tuple[tuple[str, ...], ...]
    shown: str = ""
    typed: str = "Typed by hand\n"
    config: tuple[tuple[str, str], ...] = ()


def commit(*args: str) -> tuple[tuple[str, ...], ...]:
    return (("commit", *args),)


REWORD = ("-c", "sequence.editor=sed -i.bak s/^pick/reword/", "rebase", "-q", "-i", "HEAD~1")
KINDS = {
    "-m": Kind(commit("-m", TASK), "stderr"),
    "-F": Kind(commit("-F", "../message"), "stderr"),
    "-a -m": Kind(commit("-a", "-m", TASK), "stderr"),
    "a file": Kind(commit("-m", TASK, "README"), "stderr"),
    "-m of no task": Kind(commit("-m", "wip"), "stderr"),
    "editor": Kind(commit(), "comments"),
    "editor, nothing typed": Kind(commit(), "comments", typed=""),
    "-m and editor": Kind(commit("-e", "-m", TASK), "comments", typed=""),
    "-v": Kind(commit("-v"), "comments"),
    "-t": Kind(commit("-t", "../template"), "comments"),
    "-t, untouched": Kind(commit("-t", "../template"), "comments", typed=""),
    "--cleanup=strip": Kind(commit("--cleanup=strip"), "comments"),
    "--cleanup=whitespace": Kind(commit("--cleanup=whitespace"), "stderr"),
    "--cleanup=verbatim": Kind(commit("--cleanup=verbatim"), "stderr"),
    "--cleanup=scissors": Kind(commit("--cleanup=scissors"), "stderr"),
    "commit.cleanup": Kind(commit(), "stderr", config=(("commit.cleanup", "whitespace"),)),
    "commit.status": Kind(commit(), "stderr", config=(("commit.status", "false"),)),
    "core.commentChar": Kind(commit(), "comments", config=(("core.commentChar", ";"),)),
    "core.commentChar auto": Kind(commit("-t", "../template"), "comments", config=(("core.commentChar", "auto"),)),
    "kept comments that say otherwise": Kind(commit("--cleanup=verbatim", "-t", "../lies"), "stderr"),
    "nothing to commit": Kind(commit("--allow-empty", "--only"), ""),
    # Not a commit of its own.
    "--amend": Kind(commit("--amend")),
    "--amend -m": Kind(commit("--amend", "-m", TASK)),
    "--amend --no-edit": Kind(commit("--amend", "--no-edit")),
    "-C": Kind(commit("-C", "HEAD~1")),
    "-c": Kind(commit("-c", "HEAD~1")),
    "--fixup": Kind(commit("--fixup", "HEAD")),
    "--squash": Kind(commit("--squash", "HEAD", "-m", TASK)),
    "merge": Kind((*commit("-C", "HEAD~1"), ("merge", "-q", "--no-ff", "-m", TASK, "side"))),
    "merge --squash": Kind((*commit("-C", "HEAD~1"), ("merge", "-q", "--squash", "side"), ("commit",))),
    "cherry-pick": Kind((*commit("-C", "HEAD~1"), ("cherry-pick", "side"))),
    "cherry-pick -e": Kind((*commit("-C", "HEAD~1"), ("cherry-pick", "-e", "side"))),
    "revert": Kind((*commit("-C", "HEAD~1"), ("revert", "--no-edit", "HEAD"))),
    "rebase": Kind((*commit("-C", "HEAD~1"), ("rebase", "-q", "--force-rebase", "HEAD~1"))),
    "rebase, reword": Kind((*commit("-C", "HEAD~1"), REWORD)),
    "merge in conflict": Kind((*commit("-C", "HEAD~1"), ("merge", "-q", "clash"), ("commit", "-a", "-m", TASK))),
    "cherry-pick in conflict": Kind((*commit("-C", "HEAD~1"), ("cherry-pick", "clash"), ("commit", "-a", "-m", TASK))),
    "in a rebase": Kind((*commit("-C", "HEAD~1"), ("rebase", "-q", "clash"), ("commit", "-a", "-m", TASK))),
    "in a bisect": Kind((("bisect", "start"), ("commit", "-m", TASK))),
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits are made now: one with the date of HEAD passes for an amended one."""
    monkeypatch.delenv("GIT_AUTHOR_DATE")


@pytest.fixture(autouse=True)
def no_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GIT_EDITOR", "VISUAL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with branches to merge and to clash with, on a branch without a name, something staged."""
    folder = tmp_path_factory.mktemp("made")
    date = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    who |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in who.items()}

    def make(*args: str) -> None:
        subprocess.run(["git", *args], cwd=folder / "demo", env={**os.environ, **date, **who}, check=True)

    (folder / "demo").mkdir()
    make("init", "-q", "-b", "main")
    for branch, file in (("main", "README"), ("side", "side.txt"), ("clash", "README"), (GENERIC, "README")):
        if branch != "main":
            make("checkout", "-q", "-b", branch, "main")
        (folder / "demo" / file).write_text(f"{branch}\n")
        make("add", "--all")
        make("commit", "-q", "-m", f"Work on {branch}")
    (folder / "demo" / "report.py").write_text("def export_csv(rows):\n    return rows\n")
    make("add", "report.py")
    (folder / "demo" / "README").write_text("more\n")
    make("add", "README")
    (folder / "message").write_text(f"{TASK}\n\nThey are an edge case.\n")
    (folder / "template").write_text("Why:\n# a comment of the template's\n")
    (folder / "lies").write_text("# x\n# with '#' will be ignored, and an empty message aborts the commit.\nWhy\n")
    (folder / "editor").write_text(EDITOR)
    (folder / "editor").chmod(0o755)
    return folder


class Played(NamedTuple):
    """What came of it: exit codes and messages, what an editor saw, what was said on stderr."""

    codes: list[int]
    log: bytes
    seen: bytes
    said: str


def play(made: Path, at: Path, kind: Kind, branch: str, hook: bool) -> Played:
    shutil.copytree(made, at, symlinks=True)
    repo = at / "demo"
    if branch != GENERIC:
        git("branch", "-m", branch, cwd=repo)
    for key, value in kind.config:
        git("config", key, value, cwd=repo)
    if hook:
        install(repo)
    # As most people set it: git tells its hooks of GIT_EDITOR alone, which other tests have.
    env = {**os.environ, "EDITOR": str(at / "editor"), "SEEN": str(at / "seen"), "SAY": kind.typed}
    done = [subprocess.run(["git", *step], cwd=repo, env=env, capture_output=True) for step in kind.steps]
    log = subprocess.run(["git", "log", "--format=%T%n%B", "--max-count=5"], cwd=repo, capture_output=True)
    seen = (at / "seen").read_bytes() if (at / "seen").exists() else b""
    return Played([one.returncode for one in done], log.stdout, seen, b"".join(one.stderr for one in done).decode())


def install(repo: Path, python: str = sys.executable) -> Path:
    """The hook, as `wtname hook install` puts it."""
    hook = repo / ".git" / "hooks" / "prepare-commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(shim.script(python))
    hook.chmod(0o755)
    return hook


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_commit(made: Path, tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    without = play(made, tmp_path / "without", kind, GENERIC, hook=False)
    on_generic = play(made, tmp_path / "generic", kind, GENERIC, hook=True)
    assert on_generic[:2] == without[:2]
    assert ("wtname: " in on_generic.said) == (kind.shown == "stderr"), on_generic.said
    added = [line for line in on_generic.seen.splitlines() if line not in without.seen.splitlines()]
    if kind.shown == "comments":
        mark = added[0].decode()[0]
        assert mark == "#" or kind.config
        assert added[0].decode().startswith(f"{mark} wtname: {GENERIC} could be called wt-")
        assert added[1].decode().startswith(f"{mark}   wtname rename --name ")
        assert on_generic.seen.replace(added[0] + b"\n" + added[1] + f"\n{mark}\n".encode(), b"") == without.seen
    else:
        assert on_generic.seen == without.seen
    on_chosen = play(made, tmp_path / "chosen", kind, CHOSEN, hook=True)
    here = without.log.replace(f"On branch {GENERIC}".encode(), f"On branch {CHOSEN}".encode())
    assert on_chosen[:2] == (without.codes, here)
    assert "wtname" not in on_chosen.said and b"wtname" not in on_chosen.seen


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository with the hook, and we stand in it."""
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made" / "demo")
    install(Path.cwd())
    return Path.cwd()


def make_commit(*args: str, env: dict[str, str] | None = None) -> str:
    """What is said at a commit, which works."""
    step = ["git", "commit", "-q", *(args or ("-m", TASK))]
    done = subprocess.run(step, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done
    return done.stderr


SUGGESTED = f"wtname: {GENERIC} could be called {BETTER}: wtname rename --name fix-zero-width-column-crash\n"


def suggested(message: str) -> str:
    """What is said of a whole message, which may have another name than its first line alone."""
    name = suggest(message).name
    assert name and name.startswith("fix-zero-width-")
    return f"wtname: {GENERIC} could be called wt-{name}: wtname rename --name {name}\n"


def test_what_is_said(run: Run, place: Path) -> None:
    said = make_commit()
    assert said == SUGGESTED
    command = said.rpartition(": wtname ")[2].split()
    assert run(*command).stdout == BETTER + "\n"


def test_the_ticket_comes_along(run: Run, place: Path) -> None:
    git("config", "wtname.template", "{user}/{ticket}-{slug}")
    said = make_commit("-m", f"PROJ-214: {TASK}")
    assert f"{GENERIC} could be called ada/PROJ-214-zero-width-column-crash: " in said
    assert run(*said.rpartition(": wtname ")[2].split()).stdout == "ada/PROJ-214-zero-width-column-crash\n"


def test_a_name_that_is_taken(place: Path) -> None:
    git("branch", BETTER)
    assert f"could be called {BETTER}-2: " in make_commit()


def test_at_most_three_times(place: Path) -> None:
    dates = [{"GIT_AUTHOR_DATE": f"2026-02-0{i}T00:00:00Z"} for i in range(1, 6)]
    said = [make_commit("--allow-empty", "-m", TASK, env=date) for date in dates]
    assert [bool(text) for text in said] == [True, True, True, False, False]
    git("checkout", "-q", "-b", "wip")
    assert "wip could be called" in make_commit("--allow-empty", "-m", "Retry webhooks with backoff")


def test_detached(place: Path) -> None:
    git("checkout", "-q", "--detach")
    said = make_commit()
    assert said == f"wtname: HEAD is on no branch; one could be: git checkout -b {BETTER}\n"
    subprocess.run(said.rpartition(": ")[2].split(), check=True, capture_output=True)
    assert git("log", "-1", "--format=%s", BETTER) == TASK


@pytest.mark.skipif(version() < (2, 45), reason="git is too old for reftable")
def test_reftable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "-q", "-b", "wip", "--ref-format=reftable", tmp_path / "tables")
    monkeypatch.chdir(tmp_path / "tables")
    install(Path.cwd())
    dates = [{"GIT_AUTHOR_DATE": f"2026-02-0{i}T00:00:00Z"} for i in range(1, 5)]
    assert make_commit("--allow-empty", "-m", TASK, env=dates[0]) == ""
    assert "wip could be called" in make_commit("--allow-empty", "-m", TASK, env=dates[1])
    git("checkout", "-q", "--detach")
    assert "HEAD is on no branch" in make_commit("--allow-empty", "-m", TASK, env=dates[2])
    git("checkout", "-q", "-b", CHOSEN)
    assert make_commit("--allow-empty", "-m", TASK, env=dates[3]) == ""


@pytest.mark.skipif(not shutil.which("ps"), reason="ps is not installed")
def test_nothing_of_it_is_left_running(place: Path) -> None:
    limit = "54.0" + str(os.getpid())
    assert make_commit(env={"WTNAME_DEADLINE": limit}) == SUGGESTED
    for _ in range(40):
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        if limit not in running:
            break
        time.sleep(0.05)
    assert limit not in running


def test_linked_worktree_and_subfolder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("worktree", "add", "-q", "-b", "patch-1", "../w\u00e4 'x'")
    inner = place.parent / "w\u00e4 'x'" / "sub"
    inner.mkdir()
    (inner / "new").write_text("x\n")
    monkeypatch.chdir(inner)
    git("add", ".")
    assert f"patch-1 could be called {BETTER}" in make_commit()
    assert (place / ".git" / "worktrees").is_dir() and not (place / ".git" / shim.TOLD).exists()


QUIET = {
    "off": lambda: git("config", "wtname.hook", "false"),
    "pushed": lambda: git("update-ref", f"refs/remotes/origin/{GENERIC}", "HEAD"),
    "an upstream": lambda: (
        git("config", f"branch.{GENERIC}.remote", "origin"),
        git("config", f"branch.{GENERIC}.merge", "refs/heads/other"),
    ),
    "no commit yet": lambda: git("checkout", "-q", "--orphan", "wt-12345678"),
    "wrong settings": lambda: git("config", "wtname.maxlength", "many"),
}


@pytest.mark.parametrize("case", QUIET)
@pytest.mark.parametrize("auto", [False, True])
def test_quiet(place: Path, case: str, auto: bool) -> None:
    if auto:
        git("config", "wtname.autorename", "true")
    QUIET[case]()
    branch = git("symbolic-ref", "HEAD")
    assert make_commit() == "" and git("symbolic-ref", "HEAD") == branch


def test_tracking_the_default_branch_is_not_pushed(place: Path) -> None:
    git("config", f"branch.{GENERIC}.remote", "origin")
    git("config", f"branch.{GENERIC}.merge", "refs/heads/main")
    assert make_commit() == SUGGESTED


def told_enough() -> None:
    Path(".git", shim.TOLD).write_text(f"{shim.TIMES} {GENERIC}\n")


NOTHING_TO_DO = {name: (lambda name=name: Path(".git", name).write_text("")) for name in shim.OPERATIONS} | {
    "told enough": told_enough,
    "a name of its own": lambda: git("branch", "-m", CHOSEN),
}


@pytest.mark.parametrize("case", NOTHING_TO_DO)
def test_nothing_to_do(place: Path, case: str) -> None:
    """The script sees so without Python, and wtname does where something else than the script calls it."""
    NOTHING_TO_DO[case]()
    direct = [sys.executable, "-m", "wtname", "hook", "prepare-commit-msg"]
    install(place, python(place, "open('../ran', 'w').close()"))
    for command in (direct, [".git/hooks/prepare-commit-msg"]):
        done = subprocess.run([*command, "../message", "message"], capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not Path("../ran").exists()


@pytest.mark.parametrize("args", [["../message", "message"], ["../message", "message", ""]])
def test_something_to_do(place: Path, args: list[str]) -> None:
    direct = [sys.executable, "-m", "wtname", "hook", "prepare-commit-msg"]
    wanted = suggested((place.parent / "message").read_text()).encode()
    for command in (direct, [".git/hooks/prepare-commit-msg"]):
        assert subprocess.run([*command, *args], capture_output=True).stderr == wanted


def test_from_what_is_staged(place: Path) -> None:
    git("restore", "--staged", "README")
    (place / "README").write_text("def parse_date(text): return text\n")
    say = {"GIT_EDITOR": str(place.parent / "editor"), "SEEN": str(place.parent / "seen"), "SAY": TASK}
    make_commit("-v", env=say)
    assert "export-csv" in (place.parent / "seen").read_text() and git("diff", "--name-only") == "README"
    make_commit("-a", env=say)
    assert "parse-date" in (place.parent / "seen").read_text()


def test_a_branch_that_reads_backwards(place: Path) -> None:
    git("branch", "-m", "ada\u202e/wip")
    assert make_commit().startswith("wtname: ada\\u202e/wip could be called ")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("editor", [False, True])
def test_autorename(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, linked: bool, editor: bool) -> None:
    git("config", "wtname.autorename", "true")
    branch = GENERIC
    if linked:
        git("worktree", "add", "-q", "-b", "patch-1", "../linked")
        monkeypatch.chdir("../linked")
        Path("new.py").write_text("def parse_date(text):\n    return text\n")
        git("add", ".")
        branch = "patch-1"
    before = git("rev-parse", "HEAD")
    say = {"GIT_EDITOR": str(place.parent / "editor"), "SEEN": os.devnull, "SAY": TASK}
    said = make_commit("--verbose", env=say) if editor else make_commit()
    new = git("symbolic-ref", "--short", "HEAD")
    assert new.startswith("wt-") and new != branch and (editor or new == BETTER)
    if not editor:
        assert said == f"wtname: {branch} is called {new} now; back with: wtname rename --undo\n"
    assert git("branch", "--list", branch) == "" and git("rev-parse", new) == git("rev-parse", "HEAD")
    assert git("rev-parse", "HEAD~1") == before and git("log", "-1", "--format=%s") == TASK
    told = git("reflog", "--format=%gs", new).splitlines()
    assert told[0] == f"commit: {TASK}" and told[1].startswith("Branch: renamed")
    assert git("reflog", "--format=%gs", "HEAD").splitlines()[0] == f"commit: {TASK}"
    assert git("status", "--porcelain") == "" and git("fsck", "--no-dangling") == ""
    assert run("rename", "--undo").stdout == branch + "\n"


def test_a_renaming_is_not_broken_off(place: Path) -> None:
    git("config", "wtname.autorename", "true")
    called: list[str] = []
    with Repository() as repo:
        hint = hinting.hint(repo, TASK, "message", os.environ, lambda: called.append(git("symbolic-ref", "HEAD")))
    assert hint and BETTER in hint.text and called == [f"refs/heads/{GENERIC}"]


@pytest.mark.parametrize("first", ["pass", "untouchable()"])
def test_the_limit(first: str) -> None:
    text = "import time; from wtname import hinting\nwith hinting._within_limit() as untouchable:\n"
    text += f"    {first}; time.sleep(0.4); print('done')"
    env = {**os.environ, "WTNAME_DEADLINE": "0.1"}
    done = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "" if first == "pass" else "done\n")


# --- whatever is broken -----------------------------------------------------------------------------------------------


def python(place: Path, text: str) -> str:
    """A stand-in for the interpreter that the hook runs."""
    path = place.parent / "python stand-in"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


BROKEN = {
    "Python is gone": lambda place: install(place, "/nowhere/python"),
    "wtname is gone": lambda place: install(place, python(place, "raise ModuleNotFoundError('wtname')")),
    "it crashes": lambda place: install(place, python(place, "import os; os.abort()")),
    "it is no program": lambda place: install(place, str(place / "README")),
    "a bad interpreter": lambda place: (
        (place.parent / "bad").write_text("#!/nowhere/python\n"),
        (place.parent / "bad").chmod(0o755),
        install(place, str(place.parent / "bad")),
    ),
    "it says what it should not": lambda place: install(place, python(place, "print('no')")),
    "it hangs": lambda place: install(
        place, python(place, "import time; time.sleep(3); open('../late', 'w').close(); print('wtname: late')")
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_wtname_lets_the_commit_pass(place: Path, case: str) -> None:
    BROKEN[case](place)
    assert make_commit(env={"WTNAME_DEADLINE": "0.3"} if case == "it hangs" else None) == ""
    assert not (place.parent / "late").exists() and git("log", "-1", "--format=%s") == TASK


def test_a_broken_model_names_by_the_words(place: Path, tmp_path: Path) -> None:
    (tmp_path / "branch-name-generator.gguf").write_bytes(b"GGUF" + bytes(99))
    assert f"{GENERIC} could be called wt-fix-" in make_commit(env={"WTNAME_MODEL_DIR": str(tmp_path)})


@pytest.mark.parametrize("variable", ["HOME", "PATH"])
def test_without_a_home_or_a_path(place: Path, variable: str) -> None:
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        git("config", key, value)
    env = {key: value for key, value in os.environ.items() if key not in (variable, "GIT_CONFIG_GLOBAL")}
    done = subprocess.run([shutil.which("git") or "", "commit", "-q", "-m", TASK], env=env, capture_output=True)
    assert done.returncode == 0 and git("log", "-1", "--format=%s") == TASK


def test_nobody_listens(place: Path) -> None:
    done = subprocess.run(["sh", "-c", f"git commit -q -m '{TASK}' 2>&-"], capture_output=True)
    assert done.returncode == 0 and git("log", "-1", "--format=%s") == TASK


MESSAGES = {
    "nothing": b"",
    "comments": b"# a\n# b\n",
    "NUL": b"Fix\0 it\n",
    "not UTF-8": b"Fix \xff\xfe the parser\n",
    "binary": bytes(range(256)) * 40,
    "huge": b"Fix the parser " * 200_000,
    "a terminal's commands": b"Fix \x1b]0;title\x07 the \x1b[31mparser\n",
    "an option": b"--force -rf $(touch ../ran) `touch ../ran`\n",
}


@pytest.mark.parametrize("case", MESSAGES)
@pytest.mark.parametrize("args", [["message"], []])
def test_odd_messages_stay_as_they_are(place: Path, case: str, args: list[str]) -> None:
    file = Path(".git", "COMMIT_EDITMSG")
    file.write_bytes(MESSAGES[case])
    done = subprocess.run([".git/hooks/prepare-commit-msg", file, *args], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"") and b"\x1b" not in done.stderr
    assert file.read_bytes() == MESSAGES[case] and not Path("../ran").exists()


@pytest.mark.parametrize(
    "args", [[], [""], ["nowhere"], ["."], ["--help"], ["-x"], ["a", "b", "c", "d"], ["a", "message", ""]]
)
def test_called_by_hand(run: Run, place: Path, args: list[str]) -> None:
    for command in (
        ["./.git/hooks/prepare-commit-msg"],
        [sys.executable, "-m", "wtname", "hook", "prepare-commit-msg"],
    ):
        assert subprocess.run([*command, *args], capture_output=True).returncode == 0


def test_a_strangers_code_is_not_run(place: Path) -> None:
    for name in ("wtname", "click", "typing", "git"):
        (place / name).mkdir()
        (place / name / "__init__.py").write_text("open('../ran', 'w').close()\n")
    assert make_commit() == SUGGESTED and not (place.parent / "ran").exists()


def test_the_hook_that_was_there_runs_first(place: Path) -> None:
    hook = place / ".git" / "hooks" / shim.BEFORE
    hook.write_text('#!/bin/sh\necho "first $2 ${0##*/}" >&2\nprintf "Theirs: yes\\n" >>"$1"\n')
    hook.chmod(0o755)
    assert make_commit() == f"first message {shim.BEFORE}\n" + suggested(f"{TASK}\n\nTheirs: yes")
    assert git("log", "-1", "--format=%B").endswith("Theirs: yes")
    hook.write_text("#!/bin/sh\nexit 7\n")
    assert subprocess.run(["git", "commit", "--allow-empty", "-m", "no"], capture_output=True).returncode == 1


def test_hints_in_a_message_file(tmp_path: Path) -> None:
    """Each comment stays one line, whatever is in it."""
    file = tmp_path / "message"
    raw = b"\n# Please enter\n# with '#' will be ignored, and\n#\tnew file\n"
    file.write_bytes(raw)
    file.chmod(0o640)
    (tmp_path / "link").symlink_to(file)
    assert commit_message.write(tmp_path / "link", hinting.comment(hinting.Hint("a\nb\x1b", "c\nd")))
    assert file.read_bytes() == b"\n# wtname: a\\nb\\x1b:\n#   c\\nd\n#\n" + raw[1:]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640 and (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "message"]
