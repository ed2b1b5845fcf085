from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository, snapshot, start
from wtname import log, naming
from wtname.cli import COMMANDS

TASK = "Fix crash on zero-width columns"
HOSTILE = [
    "--orphan",
    "-",
    "--",
    "-f -f",
    "--upload-pack=touch pwned",
    "$(touch pwned) `touch pwned`; touch pwned & | > pwned",
    "fix\nthe\ncrash\r\nnow",
    "fix \0 the \0 crash",
    "\0",
    "../../etc/passwd and ..\\..\\windows",
    "fix \ud800 the \udfff lone surrogates",
    "refs/heads/main HEAD @{-1} a..b a.lock",
    "{name} {user} {0.__class__} %s %(refname)",
    "\x1b[31mred\x1b[0m \x07 bell",
    "修复 登录 崩溃 🎉",
    "\u202e right to left \u200b nothing",
    "",
    "   \n\t ",
    "x" * 100_000,
    "fix the bug " * 20_000,
]


def legal(branch: str) -> bool:
    return subprocess.run(["git", "check-ref-format", "--branch", branch], capture_output=True).returncode == 0


# --- suggest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "input"),
    [
        ([TASK], None),
        (TASK.split(), None),
        (["--", TASK], None),
        ([], TASK),
        (["-"], TASK + "\n"),
        ([], "\ufeff" + TASK),
        ([], TASK.encode()),
    ],
)
def test_suggest(run: Run, args: list[str], input: str | bytes | None) -> None:
    done = run("suggest", *args, input=input)
    assert done.exit_code == 0
    assert naming.NAME.fullmatch(done.stdout.removesuffix("\n"))
    assert done.stdout == run("suggest", TASK).stdout
    assert done.stderr == ""


@pytest.mark.parametrize("prompt", HOSTILE)
def test_suggest_whatever_comes(run: Run, prompt: str) -> None:
    done = run("suggest", "--", prompt)
    assert done.exit_code == 0
    assert legal(done.stdout.removesuffix("\n")), done.stdout


def test_suggest_bytes_that_are_no_text(run: Run) -> None:
    done = run("suggest", input=b"Fix crash \xff\xfe\xc3( in the parser\0\n")
    assert done.exit_code == 0
    assert naming.NAME.fullmatch(done.stdout.strip())


@pytest.mark.parametrize(
    "prompt",
    [
        "- fix the login\n- fix the logout",
        "--orphan is broken",
        "---\ntitle: x\n---\nAdd a parser",
        "-n is ignored",
        "--json breaks",
    ],
)
def test_prose_that_starts_with_a_dash(run: Run, prompt: str) -> None:
    done = run("suggest", prompt, "--json")
    assert done.exit_code == 0, done.stderr
    named = json.loads(done.stdout)
    again = json.loads(run("suggest", "--json", input=prompt).stdout)
    assert {**named, "ms": 0} == {**again, "ms": 0}


@pytest.mark.parametrize(
    "args",
    [
        ["--orphan"],
        ["-x"],
        ["--nope", TASK],
        ["-n", "0", TASK],
        ["--jsonl", TASK],
        ["--jsonl", "--json"],
        ["-n", "x y"],
    ],
)
def test_wrong_usage(run: Run, args: list[str]) -> None:
    done = run("suggest", *args)
    assert (done.exit_code, done.stdout) == (2, "")


def test_several(run: Run) -> None:
    names = run("suggest", "-n", "4", TASK).stdout.splitlines()
    assert 1 <= len(names) <= 4
    assert len(set(names)) == len(names)
    assert all(naming.NAME.fullmatch(name) for name in names)
    assert names[0] == run("suggest", TASK).stdout.strip()
    assert [one["name"] for one in json.loads(run("suggest", "-n", "4", "--json", TASK).stdout)] == names


def test_json(run: Run) -> None:
    named = json.loads(run("suggest", "--json", f"{TASK} (PROJ-12)").stdout)
    assert list(named) == ["name", "type", "ticket", "source", "confidence", "ms"]
    assert named["name"].startswith(named["type"] + "-")
    assert named["ticket"] == "PROJ-12"
    assert named["source"] == "model"
    assert 0 < named["confidence"] <= 1


def test_out_of_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTNAME_DEADLINE", "0")
    done = run("suggest", TASK)
    assert naming.NAME.fullmatch(done.stdout.strip())
    assert "picked from the words" in done.stderr
    for wrong in ("soon", "nan", "-1", "inf"):
        monkeypatch.setenv("WTNAME_DEADLINE", wrong)
        done = run("suggest", TASK)
        assert repr(wrong) in done.stderr and "set it to a number of seconds" in done.stderr
        assert done.exit_code == 0 and naming.NAME.fullmatch(done.stdout.strip())


def test_no_task(run: Run) -> None:
    done = run("suggest", "hi")
    assert done.stdout.startswith("wt-") and len(done.stdout) == 12
    assert done.stderr == "wtname: the prompt names no task; the name is random\n"
    named = json.loads(run("suggest", "--json", "hi").stdout)
    assert (named["name"], named["type"], named["source"]) == (None, None, "random")


def test_jsonl(run: Run) -> None:
    lines = [
        json.dumps({"id": 1, "prompt": TASK}),
        "",
        "not json",
        json.dumps({"id": "b", "prompt": "hi"}),
        json.dumps({"id": {"deep": [1]}, "text": "no prompt"}),
        json.dumps({"id": 4, "prompt": ["no", "text"]}),
        json.dumps(["no", "object"]),
        '{"id": NaN, "prompt": "x"}',
        "[" * 100_000,
        json.dumps({"prompt": "\ud800 Fix the parser"}),
        json.dumps({"id": 9, "prompt": TASK, "more": 1}),
    ]
    data = "\n".join(lines).encode("utf-8", "surrogatepass").replace(b"not json", b"\xff\xfe{")
    done = run("suggest", "--jsonl", input=b"\xef\xbb\xbf" + data)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [1, None, "b", {"deep": [1]}, 4, None, None, None, None, 9]
    assert ["error" in answer for answer in answers] == [False, True, False, True, True, True, True, True, False, False]
    assert list(answers[0]) == ["id", "name", "type", "ticket", "source", "confidence", "ms"]
    assert answers[0]["name"] == answers[-1]["name"] == run("suggest", TASK).stdout.strip()
    assert (answers[2]["name"], answers[2]["source"]) == (None, "random")


def test_the_clock_of_many_prompts_runs_once_the_model_is_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTNAME_DEADLINE", "0")
    assert "took too long to load" in run("suggest", TASK).stderr
    done = run("suggest", "--jsonl", input=json.dumps({"id": 1, "prompt": TASK}))
    assert "ran out of its time" in done.stderr and "load" not in done.stderr


def test_jsonl_tells_a_bad_model_once(run: Run, tmp_path: Path) -> None:
    line = json.dumps({"id": 1, "prompt": TASK}) + "\n"
    done = run("suggest", "--jsonl", "--model", str(tmp_path / "none.gguf"), input=line * 3)
    assert done.stdout.count('"extract"') == 3
    assert done.stderr.count("\n") == 1


def test_jsonl_answers_as_each_is_ready(repo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "wtname", "suggest", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    for key in range(3):
        process.stdin.write(json.dumps({"id": key, "prompt": TASK}).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == key
    process.communicate()
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_closed_pipe_is_quiet(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text((json.dumps({"id": 1, "prompt": TASK}) + "\n") * 400)
    with (tmp_path / "in").open() as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "wtname", "suggest", "--jsonl"],
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait()


@pytest.mark.skipif(os.name == "nt", reason="numbered streams of POSIX")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("words", [["--version"], ["list"], ["suggest", TASK], ["new", TASK]], ids=lambda w: w[0])
def test_streams_that_the_caller_closed(closed: str, words: list[str], repo: Path) -> None:
    """What is printed goes nowhere, above all not into a file that was opened in the stream's place."""
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "wtname", *words]
    done = subprocess.run(shell, cwd=repo, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed in ("2>&-", "<&-"))
    assert git("status", "--porcelain", cwd=repo) == "" and git("fsck", cwd=repo) == ""
    assert not (repo / ".git" / "wtname").exists()


# --- new -----------------------------------------------------------------------------------------------------------


def test_new(run: Run, repo: Path) -> None:
    name = run("suggest", TASK).stdout.strip()
    done = run("new", TASK)
    assert done.stdout == f"{repo.parent}/demo.worktrees/wt-{name}\n"
    assert done.stderr == ""
    assert git("branch", "--show-current", cwd=Path(done.stdout.strip())) == f"wt-{name}"


def test_new_json(run: Run, repo: Path) -> None:
    made = json.loads(run("new", "--json", f"{TASK} #42").stdout)
    keys = "name type ticket source confidence ms branch path base commit behind dry_run copied post_create"
    assert list(made) == keys.split()
    assert made["branch"] == f"wt-{made['name']}"
    assert (made["ticket"], made["base"], made["dry_run"]) == ("42", "HEAD", False)
    assert made["commit"] == git("rev-parse", "HEAD", cwd=repo)
    assert json.loads(run("new", "--json", TASK).stdout)["name"] == made["name"] + "-2"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_dry_run_makes_nothing(run: Run, repo: Path, as_json: list[str]) -> None:
    before = snapshot(repo.parent, repo)
    done = run("new", "--dry-run", *as_json, TASK)
    assert snapshot(repo.parent, repo) == before
    assert "demo.worktrees/wt-" in done.stdout
    assert done.exit_code == 0


@pytest.mark.parametrize("prompt", HOSTILE)
def test_new_whatever_comes(run: Run, repo: Path, prompt: str) -> None:
    done = run("new", "--json", "--", prompt, input="")
    assert done.exit_code == 0, done.stderr
    made = json.loads(done.stdout)
    assert legal(made["branch"])
    assert Path(made["path"]).parent == repo.parent / "demo.worktrees"
    assert git("branch", "--show-current", cwd=Path(made["path"])) == made["branch"]
    assert sorted(path.name for path in repo.iterdir()) == [".git", "README"]


def test_new_by_name(run: Run, repo: Path) -> None:
    made = json.loads(run("new", "--name", "Ünï.x", "--json").stdout)
    assert (made["name"], made["source"], made["branch"]) == ("Ünï.x", "user", "wt-Ünï.x")
    assert json.loads(run("new", "--name", "Ünï.x", "--json").stdout)["branch"] == "wt-Ünï.x-2"


def test_who_gave_a_name_hears_that_it_is_taken(run: Run, repo: Path) -> None:
    first, second = (run("new", "--name", "fix-x") for _ in range(2))
    assert "taken" not in first.stderr
    assert second.stdout.endswith("wt-fix-x-2\n") and "wt-fix-x is taken, so this one is wt-fix-x-2" in second.stderr
    assert "taken" not in run("new", "Fix the login redirect").stderr + run("new", "Fix the login redirect").stderr


@pytest.mark.parametrize("name", ["a b", "a..b", "x.lock", "a~", "- a b", "a\0b", "@{-1}", "/", "a//b", "a/"])
def test_new_by_illegal_name(run: Run, repo: Path, name: str) -> None:
    before = snapshot(repo.parent, repo)
    done = run("new", "--name", name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is no legal branch name; change --name" in done.stderr
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("template", ["{name}{nope}", "wt", "a b {name}", "{name}.lock", "{name:>99}"])
def test_new_with_a_bad_template(run: Run, repo: Path, template: str) -> None:
    git("config", "wtname.template", template, cwd=repo)
    before = snapshot(repo.parent, repo)
    done = run("new", TASK)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("wtname: ") and done.stderr.count("\n") == 1
    assert snapshot(repo.parent, repo) == before


def test_new_with_settings(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=repo)
    git("config", "wtname.template", "{user}/{ticket}-{name}", cwd=repo)
    git("config", "wtname.base", "HEAD~1", cwd=repo)
    monkeypatch.setenv("WTNAME_PATH", "trees/{branch}")
    made = json.loads(run("new", "--json", TASK).stdout)
    assert made["branch"] == f"ada/{made['name']}"
    assert made["path"] == str(repo / "trees" / f"ada-{made['name']}")
    assert made["commit"] == git("rev-parse", "HEAD~1", cwd=repo)
    assert json.loads(run("new", "--json", "--base", "main", TASK).stdout)["base"] == "main"


def test_new_elsewhere(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_repository(tmp_path / "other place")
    monkeypatch.chdir(tmp_path)
    assert run("new", "-C", "other place", "--name", "x").stdout == f"{tmp_path}/other place.worktrees/wt-x\n"
    assert run("new", "-C", "other place", "--name", "y", "--path", "../a/./y").stdout == f"{tmp_path}/a/y\n"
    assert len(git("worktree", "list", cwd=path).splitlines()) == 3


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--base", "nowhere", TASK], 1, "no single commit is called 'nowhere'"),
        (["--base", "--all", TASK], 1, "not a reference"),
        (["-C", "nowhere", TASK], 2, "does not exist"),
        (["-C", "..", TASK], 128, "not a git repository"),
        (["--path", ".", TASK], 1, "is there already; pass another --path"),
        (["--path", "README/x", TASK], 1, "cannot make"),
    ],
)
def test_new_that_cannot_be(run: Run, repo: Path, args: list[str], code: int, says: str) -> None:
    before = snapshot(repo.parent, repo)
    done = run("new", *args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr
    assert snapshot(repo.parent, repo) == before


def test_new_without_a_model(run: Run, repo: Path, tmp_path: Path) -> None:
    done = run("new", "--model", str(tmp_path / "none.gguf"), TASK)
    assert done.exit_code == 0
    assert Path(done.stdout.strip()).is_dir()
    assert "picked from the words" in done.stderr
    logged = log.path().read_text()
    assert "fallback" in logged and "none.gguf" in logged
    assert TASK not in logged


def test_new_where_no_log_can_be(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(repo / "README"))
    assert run("new", "hi").exit_code == 0


def test_new_for_no_task(run: Run, repo: Path) -> None:
    git("config", "wtname.template", "wt-{name}", cwd=repo)
    made = json.loads(run("new", "--json", "hi").stdout)
    assert (made["name"], made["source"]) == (None, "random")
    assert len(made["branch"]) == 11 and made["branch"].startswith("wt-")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are no text")
def test_new_where_the_path_is_no_text(tmp_path: Path) -> None:
    path = make_repository(tmp_path / os.fsdecode(b"caf\xe9"))
    out, err = start("new", "--name", "x", cwd=path).communicate()
    assert (out, err) == (os.fsencode(tmp_path) + b"/caf\xe9.worktrees/wt-x\n", b"")


# --- the rest --------------------------------------------------------------------------------------------------------


def test_help_is_cheap() -> None:
    heavy = ("llama_cpp", "subprocess", "platformdirs", "json", "logging", "wtname.naming", "wtname.git")
    heavy += ("wtname.commands",)
    code = f"import sys, wtname.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ["", *COMMANDS, "model path", "model install", "model info"])
def test_help(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.exit_code == 0 and done.stdout.startswith("Usage: ")


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("wtname")


def test_bench(run: Run) -> None:
    report = json.loads(run("bench", "--json", "--n", "5", "--cold", "2").stdout)
    assert set(report["warm_ms"]) == set(report["cold_ms"]) == {"p50", "p95", "p99"}
    assert report["by_model"] == report["n"] == 5
    assert "a whole process" in run("bench", "--n", "2", "--cold", "1").stdout


def test_doctor(run: Run, repo: Path) -> None:
    done = run("doctor")
    assert done.exit_code == 0, done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", what]
        for what in ("git:", "python:", "engine:", "model:", "log:", "repository:", "commands:", "hook:", "journal:")
    ]


def test_doctor_says_what_to_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.gguf").write_text("nothing")
    done = run("doctor", "--json", "--model", "bad.gguf")
    assert done.exit_code == 1
    report = {check["what"]: check for check in json.loads(done.stdout)}
    assert (report["model"]["status"], report["repository"]["status"]) == ("fail", "warn")
    assert report["model"]["fix"] and report["repository"]["fix"]
