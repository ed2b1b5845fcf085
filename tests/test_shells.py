from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Run, git, make_repository
from wtname import shells
from wtname.commands import shared

POSIX = ["bash", "zsh"]
ALL = [*POSIX, "fish"]
STATUS = {"bash": "$?", "zsh": "$?", "fish": "$status"}
EVAL = {
    "bash": 'eval "$(wtname init bash {options})"\n',
    "zsh": 'eval "$(wtname init zsh {options})"\n',
    "fish": "wtname init fish {options} | source\n",
}
ODD = """it's a $HOME `touch odd` "quoted" répo 修"""


def shell(name: str) -> str:
    found = shutil.which({"powershell": "pwsh"}.get(name, name))
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console script of the Python at work is the wtname of every shell."""
    folder = os.path.dirname(sys.executable)
    assert shutil.which("wtname", path=folder), "wtname is not installed beside this Python"
    monkeypatch.setenv("PATH", folder + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def start(name: str, script: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A script in a fresh shell that has read no start-up files of the machine's."""
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    argv = [shell(name), *quiet, "-c", script]
    return subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, encoding="utf-8", timeout=60
    )


def play(name: str, script: str, cwd: Path, options: str = "", **env: str) -> list[str]:
    """What a script prints once the functions are there; WHERE in it prints the exit code and the folder."""
    where = f'''printf '%s|%s\\n' "{STATUS[name]}" "$PWD"'''
    script = EVAL[name].format(options=options) + script.replace("WHERE", where)
    done = start(name, script, cwd, **env)
    return done.stdout.splitlines()


# --- the text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_is_text_of_that_shell(run: Run, name: str, tmp_path: Path) -> None:
    for options in ([], ["--cmd", "my-new", "--switch-cmd", "go_2", "--remove-cmd", "Bye"]):
        file = tmp_path / "text"
        file.write_bytes(run("init", name, *options).stdout_bytes)
        done = subprocess.run([shell(name), "-n", file], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_is_text_of_powershell(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "text.ps1"
    file.write_bytes(run("init", "powershell").stdout_bytes)
    parse = f"$e = $null; [void][Management.Automation.Language.Parser]::ParseFile('{file}', [ref]$null, [ref]$e); $e"
    done = subprocess.run([shell("powershell"), "-NoProfile", "-Command", parse], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.mark.parametrize("name", shells.FILES)
def test_names(run: Run, name: str) -> None:
    usual = run("init", name).stdout
    other = run("init", name, "--cmd", "my-new", "--switch-cmd", "go_2", "--remove-cmd", "Bye").stdout
    for old, new in (("wtn", "my-new"), ("wts", "go_2"), ("wtrm", "Bye")):
        assert old in usual and new not in usual
        usual = usual.replace("wtname", "\0").replace(old, new).replace("\0", "wtname")
    assert usual == other


@pytest.mark.parametrize(
    "name",
    [
        *("", "-x", "2x", "a b", "a;b", "$(id)", "`id`", "a'b", 'a"', "a\nb", "ü", "../x", "a.b", "a\x1b[31m"),
        *("wtname", "WTNAME", "cd", "if", "command", "builtin", "function", "_wtname_go"),
    ],
)
def test_refuses_names(run: Run, name: str) -> None:
    for option in ("--cmd", "--switch-cmd", "--remove-cmd"):
        done = run("init", "bash", f"{option}={name}")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "\x1b" not in done.stderr


def test_refuses_one_name_twice(run: Run) -> None:
    done = run("init", "fish", "--cmd", "x", "--switch-cmd", "X")
    assert (done.exit_code, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert run("init", "fish", "--cmd", "wts", "--switch-cmd", "wtn").exit_code == 0


def test_shells(run: Run) -> None:
    assert run("init", "tcsh").exit_code == run("init").exit_code == 2


def test_needs_no_git_and_no_model(tmp_path: Path) -> None:
    """Every start of a shell pays for it."""
    code = "import sys\nfrom wtname.cli import main\ntry: main(['init', 'zsh'])\nfinally: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PATH": "", "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert done.returncode == 0 and b"_wtname_go" in done.stdout
    loaded = done.stdout.rpartition(b"\n\n")[2].decode().splitlines()[-1].split()
    assert "wtname.shells" in loaded
    assert not {"wtname.git", "wtname.namer", "wtname.engine", "subprocess", "json"} & set(loaded)


def test_lines_to_copy(run: Run) -> None:
    """The help and the page have the lines that are tried here."""
    page = (ROOT / "docs" / "shells.md").read_text(encoding="utf-8")
    told = run("init", "--help").stdout
    for line in [*EVAL.values(), "wtname init powershell | Out-String | Invoke-Expression\n"]:
        line = line.replace(" {options}", "")
        assert f"\n{line}```" in page and line in told


@pytest.mark.skipif(sys.platform == "win32", reason="what it is like there")
@pytest.mark.parametrize(("console", "printed"), [(False, "é 修\n".encode()), (True, b"\xe9 ?\n")])
def test_utf_8_on_windows(monkeypatch: pytest.MonkeyPatch, console: bool, printed: bytes) -> None:
    """Where Python would write a code page into a pipe. A console there takes text, and puts that right by itself."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="cp1252", errors="replace")
    monkeypatch.setattr(out, "isatty", lambda: console)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "platform", "win32")
    shared.print_path(Path("é 修"))
    assert raw.getvalue() == printed


# --- the functions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_goes_to_the_new_folder(name: str, tmp_path: Path) -> None:
    """Whatever the task and the path of the repository hold; and back, and there again."""
    repo = make_repository(tmp_path / ODD)
    script = 'wtn "$TASK"\nWHERE\ncd - >/dev/null\nWHERE\nwts crash\nWHERE\nwts\nWHERE\n'
    task = "Fix crash; $(touch hit) `touch hit` $HOME 'a' \"b\" \\ * 修复 naïve & | > hit"
    new, back, there, again = play(name, script, repo, TASK=task)
    code, _, folder = new.partition("|")
    assert code == "0" and Path(folder).parent == tmp_path / f"{ODD}.worktrees"
    assert git("config", f"branch.{Path(folder).name}.description", cwd=repo) == task
    assert (back, there, again) == (f"0|{repo}", new, f"0|{repo}")
    assert not list(tmp_path.rglob("hit")) and not list(tmp_path.rglob("odd"))


@pytest.mark.parametrize("name", ALL)
def test_stays_where_it_fails(name: str, repo: Path, tmp_path: Path) -> None:
    """With the exit code of wtname."""
    commands = ["wtn --base nope --name fix-x", "wts nothing", "wtn --nope", "cd ..\nwtn --name fix-x"]
    script = "".join(f"{command}\nWHERE\n" for command in commands)
    assert play(name, script, repo) == [f"1|{repo}", f"1|{repo}", f"2|{repo}", f"128|{tmp_path}"]


@pytest.mark.parametrize("name", ALL)
def test_passes_on_stderr(name: str, repo: Path) -> None:
    done = start(name, EVAL[name].format(options="") + "wts nothing", repo)
    assert done.stdout == "" and done.stderr.startswith("wtname: no worktree matches") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ALL)
def test_stays_where_something_else_is_asked(name: str, repo: Path, tmp_path: Path) -> None:
    """Help, JSON and what would be made are printed as they are."""
    git("worktree", "add", "-q", "-b", "fix-x", tmp_path / "x", cwd=repo)
    commands = ["wtn --name y --dry-run", "wts --json fix-x", "wts -h >$NULL", "wtn --help fix-x >$NULL"]
    script = "".join(f"{command}\nWHERE\n" for command in commands)
    planned, first, json, *rest = play(name, script, repo, NULL=os.devnull)
    assert planned == str(tmp_path / "demo.worktrees" / "wt-y")
    assert json.startswith('{"path"') and {first, *rest} == {f"0|{repo}"} and len(rest) == 3
    assert play(name, "wts --json fix-x >$NULL\nwts -- fix-x\nWHERE", repo, NULL=os.devnull) == [f"0|{tmp_path / 'x'}"]
    made = play(name, "wtn --name z -- --json\nWHERE", repo)
    assert made == [f"0|{tmp_path / 'demo.worktrees' / 'wt-z'}"]


@pytest.mark.parametrize("name", ALL)
def test_a_line_break_at_the_end_of_a_path(name: str, repo: Path, tmp_path: Path) -> None:
    odd = f"{tmp_path}/a\nb\n"
    (tmp_path / "a\nb").mkdir()
    assert "\n".join(play(name, 'wtn --name x --path "$ODD"\nWHERE', repo, ODD=odd)) == f"0|{odd}"


@pytest.mark.parametrize("name", ALL)
def test_wtname_is_gone(name: str, repo: Path) -> None:
    away = {"fish": "set -x PATH /nowhere\n"}.get(name, "PATH=/nowhere\n")
    assert play(name, away + "wtn --name x\nWHERE", repo) == [f"127|{repo}"]


@pytest.mark.parametrize("name", ALL)
def test_reads_a_saved_text_and_a_task_from_a_file(name: str, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "task").write_text("Fix crash on zero-width columns\n")
    script = f"wtname init {name} > {tmp_path}/text\nsource {tmp_path}/text\nwtn < {tmp_path}/task\ncommand pwd"
    done = start(name, script, repo)
    assert done.stdout == f"{tmp_path}/demo.worktrees/wt-fix-zero-width-column-crash\n"


@pytest.mark.parametrize("name", ALL)
def test_own_names(name: str, repo: Path) -> None:
    script = "my-new --name x\nWHERE\ngo_2 main\nWHERE\nwtn --name y\nWHERE"
    new, there, none = play(name, script, repo, "--cmd my-new --switch-cmd go_2")
    assert new.endswith("wt-x") and there == f"0|{repo}" and none == f"127|{repo}"


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("bash", "set -euC"),
        ("bash", "set -o posix"),
        ("bash", "cd() { :; }; wtname() { :; }; printf() { :; }; CDPATH=/"),
        (
            "bash",
            "shopt -s expand_aliases extglob nullglob failglob; alias cd=: wtname=: wtn='echo no' wts=: command=:",
        ),
        ("bash", "IFS=/"),
        ("zsh", "setopt err_exit no_unset no_clobber ksh_arrays sh_word_split warn_create_global"),
        ("zsh", "setopt glob_subst null_glob posix_builtins err_return"),
        ("zsh", "cd() { :; }; wtname() { :; }; CDPATH=/"),
        ("zsh", "alias cd=: wtname=: wtn='echo no' wts=: command=:"),
        ("zsh", "emulate sh"),
        ("zsh", "emulate ksh"),
        ("fish", "function cd; end; function wtname; end; set CDPATH /"),
        ("fish", "alias wtn=true"),
    ],
)
def test_whatever_the_shell_is_like(name: str, before: str, repo: Path, tmp_path: Path) -> None:
    """What the user has set or called his own; and read twice."""
    texts = {"fish": "command wtname init fish | source"}.get(name, f'eval "$(\\command wtname init {name})"')
    where = f"""test "{STATUS[name]}" = 0; and command pwd""" if name == "fish" else 'test "$?" = 0 && \\command pwd'
    script = f"{before}\n{texts}\n{texts}\nwtn --name fix-x a task\n{where}\n"
    done = start(name, script, repo)
    assert done.stdout.splitlines() == [str(tmp_path / "demo.worktrees" / "wt-fix-x")], done.stderr


@pytest.mark.parametrize("name", POSIX)
def test_a_failure_under_errexit_is_the_users(name: str, repo: Path) -> None:
    done = start(
        name, f'set -e\neval "$(wtname init {name})"\nwts nothing || echo "caught $?"\nwts nothing\necho no', repo
    )
    assert (done.returncode, done.stdout) == (1, "caught 1\n")


@pytest.mark.parametrize("name", ALL)
def test_leaves_a_folder_that_is_gone(name: str, repo: Path, tmp_path: Path) -> None:
    """And no other: not one that stays, not where another goes."""
    for branch in ("fix-a", "fix-b"):
        git("worktree", "add", "-q", "-b", branch, tmp_path / f"the {branch}", cwd=repo)
    folder = tmp_path / "the fix-a" / "sub"
    folder.mkdir()
    (folder / "file").write_text("x")
    script = "wtrm 2>$NULL\nWHERE\nwtrm fix-b 2>$NULL\nWHERE\nwtrm -f 2>$NULL\nWHERE"
    refused, gone, other, own, home = play(name, script, folder, NULL=os.devnull)
    assert refused == f"1|{folder}"
    assert (gone, other) == (str(tmp_path / "the fix-b"), f"0|{folder}")
    assert (own, home) == (str(tmp_path / "the fix-a"), f"0|{repo}")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("bare", [False, True])
def test_home_is_the_main_worktree(name: str, bare: bool, repo: Path, tmp_path: Path) -> None:
    """And no other whose branch is called main, or nearly; of a bare repository, where that lies."""
    home = tmp_path / "demo.git" if bare else repo
    git("switch", "-q", "-c", "trunk", cwd=repo)
    if bare:
        git("clone", "-q", "--bare", repo, home)
    git("branch", "domain", cwd=home)
    for branch in ("main", "domain"):
        git("worktree", "add", "-q", tmp_path / branch, branch, cwd=home)
    script = f"wtrm -f domain main >$NULL 2>$NULL\nWHERE\ncd {home}\nWHERE"
    for branch in ("domain", "main"):
        script = "wtrm -f >$NULL 2>$NULL\nWHERE"
        assert play(name, script, tmp_path / branch, NULL=os.devnull) == [f"0|{home}"]


@pytest.mark.parametrize("name", ALL)
def test_what_remove_tells_can_be_pasted(name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and paths of others are words there, and no commands."""
    repo, branch = make_repository(tmp_path / ODD), "evil;$(touch${IFS}hit)"
    git("worktree", "add", "-q", "-b", branch, tmp_path / "x", cwd=repo)
    monkeypatch.chdir(tmp_path / "x")
    done = run("remove")
    restore = re.search("(wtname restore .*) brings it back", done.stderr)
    back = re.search("you were in it: (cd .*)", done.stderr)
    assert restore and back, done.stderr
    script = f"{back[1]}\nWHERE\n{restore[1]} 2>$NULL"
    assert play(name, script, tmp_path, NULL=os.devnull) == [f"0|{repo}", str(tmp_path / "x")]
    assert not list(tmp_path.rglob("hit")) and not list(tmp_path.rglob("odd"))


def test_fish_keeps_its_history(repo: Path, tmp_path: Path) -> None:
    script = "wtn --name x\nprevd >/dev/null\nWHERE\nnextd >/dev/null\nWHERE"
    assert play("fish", script, repo) == [f"0|{repo}", f"0|{tmp_path / 'demo.worktrees' / 'wt-x'}"]
