from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tests.conftest import Run, git
from wtname import shells
from wtname.cli import main

Complete = Callable[..., list[str]]
BRANCHES = ["wt-fix-zero-width-crash", "ada/feat-dark-mode", "it's", "修复-登录", "evil;$(touch${IFS}hit)"]


@pytest.fixture
def complete() -> Complete:
    """What a TAB behind these words finds: `complete("switch", "fi")`."""

    def values(*words: str) -> list[str]:
        found = ShellComplete(main, {}, "wtname", "_WTNAME_COMPLETE").get_completions(list(words[:-1]), words[-1])
        return [one.value for one in found]

    return values


@pytest.fixture
def trees(repo: Path, tmp_path: Path) -> Path:
    """The main worktree and some more, for branches of every kind."""
    for number, branch in enumerate(BRANCHES):
        git("worktree", "add", "-q", "-b", branch, tmp_path / str(number), cwd=repo)
    git("worktree", "add", "-q", "--detach", tmp_path / "look here", cwd=repo)
    return repo


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["switch", ""], ["main", *BRANCHES, "look here"]),
        (["switch", "wt-"], ["wt-fix-zero-width-crash"]),
        (["switch", "fix"], ["fix-zero-width-crash"]),
        (["switch", "zero-w"], ["zero-width-crash"]),
        (["switch", "feat"], ["feat-dark-mode"]),
        (["switch", "修"], ["修复-登录"]),
        (["switch", "登"], ["登录"]),
        (["switch", "it'"], ["it's"]),
        (["switch", "look "], ["look here"]),
        (["switch", "idth"], []),
        (["switch", "main", ""], []),
        (["remove", "m"], ["mode"]),
        (["remove", "fix"], ["fix-zero-width-crash"]),
        (["remove", "--force", "it's", "i"], []),
        (["remove", "it's", "wt"], ["wt-fix-zero-width-crash"]),
        (["rename", ""], []),
        (["new", "fi"], []),
        (["new", "--name", ""], []),
        (["new", "--base", "wt"], ["wt-fix-zero-width-crash"]),
        (["new", "a task", "--base", "ada/f"], ["ada/feat-dark-mode"]),
        (["new", "--base=mai"], ["main"]),
        (["new", "--base", "[m]ain"], []),
        (["new", "--base", "*"], []),
        (["init", ""], ["bash", "zsh", "fish", "powershell"]),
        (["sw"], ["switch"]),
        (["remove", "--k"], ["--keep-branch"]),
    ],
)
def test_finds(complete: Complete, trees: Path, words: list[str], found: list[str]) -> None:
    assert complete(*words) == found


def test_every_completion_is_taken(complete: Complete, trees: Path, run: Run) -> None:
    """What is offered is what the command understands."""
    for start in ("", "fix", "feat", "登", "zero", "look"):
        for name in complete("switch", start):
            done = run("switch", "--", name)
            assert done.exit_code == 0 and done.stderr == "", name


def test_no_name_is_an_option(complete: Complete, repo: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", "--detach", tmp_path / "--force", cwd=repo)
    assert complete("switch", "") == ["main", "force"] and complete("remove", "") == ["force"]
    assert complete("switch", "--", "-") == []


def test_starts(complete: Complete, repo: Path, tmp_path: Path) -> None:
    """Branches, those of remotes, tags, and nothing else."""
    git("tag", "v2.1", cwd=repo)
    git("update-ref", "refs/remotes/origin/feature/a", "HEAD", cwd=repo)
    git("update-ref", "refs/notes/x", "HEAD", cwd=repo)
    git("branch", "feature/b", cwd=repo)
    assert complete("new", "--base", "") == ["feature/b", "main", "origin/feature/a", "v2.1"]
    assert complete("new", "--base", "origin/f") == ["origin/feature/a"]
    assert complete("new", "--base", "feature/") == ["feature/b"]
    assert complete("new", "--base", "v") == ["v2.1"]


def test_in_another_folder(complete: Complete, trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert complete("switch", "-C", str(trees), "wt") == ["wt-fix-zero-width-crash"]
    assert complete("switch", "-C", str(trees / "nowhere"), "wt") == complete("switch", "wt") == []


def test_the_trash(complete: Complete, repo: Path) -> None:
    """The latest first; a part of a branch where it does not begin so."""
    kept = ["wt-fix-a/20260102T000000Z", "ada/feat-b/20260103T000000Z", "wt-fix-a/20260104T000000Z-2"]
    for name in kept:
        git("update-ref", f"refs/wtname/trash/{name}", "HEAD", cwd=repo)
    assert complete("restore", "") == kept[::-1]
    assert complete("restore", "wt") == [kept[2], kept[0]]
    assert complete("restore", "fix") == ["fix-a"]
    assert complete("restore", "x") == []


def test_restore_takes_them(complete: Complete, trees: Path, run: Run) -> None:
    run("remove", "--force", "wt-fix-zero-width-crash")
    for start in ("wt", "zero"):
        (name,) = complete("restore", start)
        assert run("restore", name).exit_code == 0
        run("remove", "--force", "wt-fix-zero-width-crash")


def test_leaves_out_what_a_terminal_would_obey(complete: Complete, repo: Path) -> None:
    commit = git("rev-parse", "HEAD", cwd=repo)
    lines = b"".join(f"{commit} refs/heads/".encode() + name + b"\n" for name in (b"a\xe2\x80\xae", b"a\xff", b"ab"))
    (repo / ".git" / "packed-refs").write_bytes(lines)
    assert complete("new", "--base", "a") == ["ab"]


@pytest.mark.parametrize("broken", ["no repository", "broken config", "no git"])
def test_says_nothing_where_git_cannot(repo: Path, tmp_path: Path, broken: str) -> None:
    env, folder = dict(os.environ), repo
    if broken == "no repository":
        folder = tmp_path
    elif broken == "broken config":
        (repo / ".git" / "config").write_text("[")
    elif broken == "no git":
        env["PATH"] = ""
    env |= {"_WTNAME_COMPLETE": "bash_complete", "COMP_WORDS": "wtname switch ", "COMP_CWORD": "2"}
    code = "from wtname.cli import main; main(prog_name='wtname')"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"", b"")


def test_bash_reads_what_a_windows_program_writes(trees: Path, tmp_path: Path) -> None:
    """Each line ends with a carriage return."""
    bash, wtname = shutil.which("bash"), shutil.which("wtname", path=os.path.dirname(sys.executable))
    if not bash:
        pytest.skip("bash is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "wtname").write_text(f"#!/bin/sh\n{wtname} \"$@\" | sed 's/$/\\r/'\n")
    (tmp_path / "bin" / "wtname").chmod(0o755)
    typed = "COMP_LINE='wts fix' COMP_POINT=7 COMP_CWORD=1; COMP_WORDS=(wts fix); _wtname_complete wts fix wts"
    script = f"{shells.text('bash', shells.Names())}\n{typed}\nprintf '<%s>' \"${{COMPREPLY[@]}}\""
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([bash, "-c", script], cwd=trees, env={**os.environ, "PATH": path}, capture_output=True)
    assert done.stdout == b"<fix-zero-width-crash>", done.stderr


# --- in real shells: TAB is pressed in tmux ---------------------------------------------------------------------------


class Terminal:
    """A shell in a tmux of its own."""

    def __init__(self, folder: str, argv: list[str], cwd: Path) -> None:
        self._tmux = [shutil.which("tmux") or "tmux", "-f", os.devnull, "-S", folder + "/s"]
        size = ["-x", "100", "-y", "30", "-c", str(cwd)]
        subprocess.run([*self._tmux, "new-session", "-d", *size, shlex.join(argv)], check=True)
        self.see(r"ready>")

    def press(self, *keys: str) -> None:
        """Type text; a key of several letters in <> is that key."""
        for key in keys:
            named = re.fullmatch("<(.+)>", key)
            args = [named[1]] if named else ["-l", "--", key]
            subprocess.run([*self._tmux, "send-keys", *args], check=True)

    def screen(self) -> str:
        shown = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, encoding="utf-8")
        return shown.stdout

    def see(self, *patterns: str) -> None:
        """Wait until the screen shows all of these."""
        until = time.monotonic() + 30
        while not all(re.search(pattern, self.screen(), re.M) for pattern in patterns):
            assert time.monotonic() < until, f"not seen: {patterns}\n{self.screen()}"
            time.sleep(0.1)

    def clear(self) -> None:
        self.press("<C-e>", "<C-u>", "<C-l>")  # an interrupt would throw away what is typed next
        self.see(r"\A\s*ready>\s*\Z")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)


RC = {
    "bash": (".rc", "PS1='ready> '; bind 'set enable-bracketed-paste off'; eval \"$(wtname init bash)\""),
    "zsh": (".zshrc", "PS1='ready> '; autoload -Uz compinit; compinit -u -D; eval \"$(wtname init zsh)\""),
    "fish": (
        ".config/fish/config.fish",
        "function fish_prompt; echo 'ready> '; end; set -g fish_greeting; wtname init fish | source",
    ),
}


@pytest.fixture(params=list(RC))
def terminal(
    request: pytest.FixtureRequest, hermetic: Path, trees: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """A shell that reads our text at its start and stands in the repository."""
    name = request.param
    for tool in ("tmux", name):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    folder = os.path.dirname(sys.executable)
    assert shutil.which("wtname", path=folder), "wtname is not installed beside this Python"
    monkeypatch.setenv("PATH", folder + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TERM", "screen")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")  # as on Windows, where a name may hold other letters
    monkeypatch.delenv("TMUX", raising=False)
    file = hermetic / RC[name][0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(RC[name][1] + "\n")
    argv = {"bash": ["bash", "--noprofile", "--rcfile", str(file), "-i"]}.get(name, [name, "-i"])
    with tempfile.TemporaryDirectory() as socket:
        shell = Terminal(socket, argv, trees)
        try:
            yield shell
        finally:
            shell.close()


@pytest.mark.parametrize("keys", [["wts "], ["wtname switch "]])
def test_a_list(terminal: Terminal, keys: list[str]) -> None:
    terminal.press(*keys, "<Tab>", "<Tab>")
    terminal.see("wt-fix-zero-width-crash", "ada/feat-dark-mode", "修复-登录")


def test_one_is_typed(terminal: Terminal, trees: Path, tmp_path: Path) -> None:
    r"""What is typed is completed, quoted where it must be; \s* stands for the blank that a shell adds."""
    git("branch", "ver@2/x", cwd=trees)
    for keys, line in [
        ("wts fix", "wts fix-zero-width-crash"),
        ("wts ada", "wts ada/feat-dark-mode"),
        ("wts 修", "wts 修复-登录"),
        ("wts 'wt", "wts 'wt-fix-zero-width-crash'"),
        ("wts 'look h", "wts 'look here'"),
        ("wtrm -f zer", "wtrm -f zero-width-crash"),
        ("wtn --base wt", "wtn --base wt-fix-zero-width-crash"),
        ("wtn 'a task' --base=ma", "wtn 'a task' --base=main"),
        ("wtn --base=ver@", "wtn --base=ver@2/x"),
        ("wtn --recu", "wtn --recurse-submodules"),
        ("wtname sw", "wtname switch"),
        ("wtname init zs", "wtname init zsh"),
    ]:
        terminal.press(keys, "<Tab>")
        terminal.see(rf"^ready> {re.escape(line)}\s*$")
        terminal.clear()
    terminal.press("wts nothing", "<Tab>", "x")
    terminal.see(r"^ready> wts nothingx\s*$")
    terminal.clear()
    for keys, folder in [
        (("wts evil", "<Tab>"), "4"),
        (("wts it", "<Tab>"), "2"),
        (("wts look", "<Tab>"), "look here"),
        (("wtn 'Fix the «naïve» crash' --name fix-x",), "demo.worktrees/wt-fix-x"),
    ]:
        terminal.press(*keys, '; echo "[$PWD]"', "<Enter>")
        terminal.see(rf"^\[{re.escape(str(tmp_path / folder))}\]\n\s*ready>")
        terminal.clear()
    terminal.press('wts "evil', "<Tab>", "<Enter>")
    terminal.see(r'^ready> wts "evil.*\n(?:ready)?>')  # bash waits for the quote to be closed
    assert not list(tmp_path.rglob("hit"))
