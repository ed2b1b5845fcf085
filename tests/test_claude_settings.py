"""Claude Code's settings: our hooks go in and out, and every other byte stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Run, git
from hypothesis import given
from hypothesis import strategies as st

from wtname import claude_lines, claude_settings, json_edit
from wtname.claude_settings import EVENTS

OTHER = '{"hooks": [{"type": "command", "command": "fmt"}]}'
TEXTS = [
    "{}\n",
    "{}",
    '{"model": "opus"}\n',
    '{"model":"opus","permissions":{"allow":["Bash(ls)"]}}',
    '{\n    "model": "opus",\n    "permissions": {"allow": ["Bash(ls)"], "deny": []},\n    "theme": "dark"\n}\n',
    '{\n\t"hooks": {\n\t\t"PostToolUse": [\n\t\t\t' + OTHER + "\n\t\t]\n\t}\n}",
    '{\r\n  "a": [1,\r\n 2],\r\n  "ü": "\\u00fc \\ud800"\r\n}\r\n',
    '{"hooks": {"UserPromptSubmit": [' + OTHER + "]}}",
    '{\n  "hooks": {\n    "UserPromptSubmit": [\n      ' + OTHER + '\n    ]\n  },\n  "b": null\n}\n',
    ' \n{ "hooks" : { "Stop" : [ ] } , "x" : "{\\"hooks\\": [" }',
]


def installed(text: str) -> str:
    return claude_settings.install(text, ["/opt/my tools/wtname"])


@pytest.mark.parametrize("text", TEXTS)
def test_in_and_out(text: str) -> None:
    after = installed(text)
    told, before = json.loads(after), json.loads(text)
    for event, (name, seconds) in EVENTS.items():
        ours = {"type": "command", "command": f"'/opt/my tools/wtname' hook {name}", "timeout": seconds}
        assert told["hooks"][event][-1] == {"hooks": [ours]}
        assert told["hooks"][event][:-1] == before.get("hooks", {}).get(event, [])
    assert {key: value for key, value in told.items() if key != "hooks"} == {
        key: value for key, value in before.items() if key != "hooks"
    }
    assert installed(after) == after
    assert claude_settings.uninstall(after) == text
    assert claude_settings.uninstall(text) == text


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda key: key != "hooks"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.sampled_from([None, 1, 2, 4, "\t"]),
    st.booleans(),
)
def test_in_and_out_of_anything(settings: dict[str, object], indent: int | str | None, ascii: bool) -> None:
    text = json.dumps(settings, indent=indent, ensure_ascii=ascii)
    after = installed(text)
    assert {key: value for key, value in json.loads(after).items() if key != "hooks"} == settings
    assert claude_settings.uninstall(after) == text


def test_is_written_like_the_rest() -> None:
    after = installed(TEXTS[5])
    assert '\n\t\t"WorktreeCreate": [\n\t\t\t{\n\t\t\t\t"hooks": [\n' in after
    assert "\n" not in installed(TEXTS[3])
    assert "\n" not in installed(TEXTS[6]).replace("\r\n", "")


def test_another_place_replaces_the_old_one() -> None:
    after = claude_settings.install(installed(TEXTS[4]), ["wtname"])
    assert after == claude_settings.install(TEXTS[4], ["wtname"])
    for called in (
        {"command": '"$HOME/my tools/wtname" hook worktree-create'},
        {"command": "C:\\my tools\\wtname.exe", "args": ["hook", "worktree-create"]},
    ):
        written = json.dumps({"hooks": {"WorktreeCreate": [{"hooks": [{"type": "command", **called}]}]}})
        assert len(json.loads(installed(written))["hooks"]["WorktreeCreate"]) == 1


@pytest.mark.skipif(os.name == "nt", reason="there a path with spaces goes by args")
def test_any_shell_calls_it(tmp_path: Path) -> None:
    script = tmp_path / 'it\'s "my" $(tools)' / "wtname"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "$@"\n')
    script.chmod(0o755)
    line = str(claude_settings.handler([str(script)], "UserPromptSubmit")["command"])
    assert subprocess.run(line, shell=True, capture_output=True, text=True).stdout == "hook user-prompt-submit\n"
    assert claude_settings.handler(["wtname"], "UserPromptSubmit")["command"] == "wtname hook user-prompt-submit"


@pytest.mark.parametrize(
    ("called", "args"),
    [(["wtname"], None), ([r"C:\my tools\wtname.exe"], ["hook", "worktree-create"])],
)
def test_on_windows(called: list[str], args: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert claude_settings.handler(called, "WorktreeCreate").get("args") == args


def test_ours_among_others_in_one_group() -> None:
    ours = json.dumps(claude_settings.handler(["wtname"], "WorktreeCreate"))
    text = (
        '{"hooks": {"WorktreeCreate": [{"hooks": [%s, {"type": "command", "command": "other"}]}], "Stop": []}}' % ours
    )
    assert claude_settings.uninstall(text) == text.replace(ours + ", ", "")
    twice = '{"hooks": {"WorktreeCreate": [{"hooks": [%s, %s]}]}}' % (ours, ours)
    assert claude_settings.uninstall(twice) == "{}"
    assert str(json.loads(claude_settings.install(twice, ["wtname"]))).count("worktree-create") == 1


@pytest.mark.parametrize(
    "command",
    [
        "wtname",
        "hook worktree-create",
        "wtname suggest",
        "wtname hook worktree-remove",
        "echo wtname hook",
        "/home/wtname/bin/other hook worktree-create",
        "#/wtname hook worktree-create",
        "A=/bin/wtname hook worktree-create",
        "",
    ],
)
def test_is_somebody_elses(command: str) -> None:
    text = json.dumps({"hooks": {"WorktreeCreate": [{"hooks": [{"type": "command", "command": command}]}]}})
    assert claude_settings.uninstall(text) == text


def created_by(*commands: str) -> str:
    """Settings with these lines for WorktreeCreate."""
    hooks = [{"type": "command", "command": command} for command in commands]
    return json.dumps({"hooks": {"WorktreeCreate": [{"hooks": hooks}]}})


def lines(text: str) -> list[str]:
    groups = json.loads(text)["hooks"].get("WorktreeCreate", [])
    return [hook["command"] for group in groups for hook in group["hooks"]]


# Lines that are wholly ours: what stands before the program, the program, what follows.
WHOLE = [
    ("", "wtname", " hook worktree-create"),
    ("", "/opt/bin/wtname", " hook worktree-create"),
    ("", "'/opt/old tools/wtname'", " hook worktree-create"),
    ("", '"/opt/old tools/wtname"', " hook worktree-create"),
    ("", "/opt/old\\ tools/wtname", " hook worktree-create"),
    ("", '"$HOME"/bin/wtname', " hook worktree-create"),
    ("", "~/bin/wtname", " hook worktree-create"),
    ("", "${HOME}/bin/wtname", " hook worktree-create"),
    ("", "wtname.exe", " hook worktree-create"),
    ("", "C:\\tools\\wtname.exe", " hook worktree-create"),
    ("& ", '"C:\\my tools\\wtname.exe"', " hook worktree-create"),
    ("", "python -m wtname", " hook worktree-create"),
    ("", "'/opt/my venv/bin/python3' -m wtname", " hook worktree-create"),
    ("", "C:/Python/py.exe -m wtname", " hook worktree-create"),
    ("WTNAME_MODEL_DIR=/srv/m ", "wtname", " hook worktree-create"),
    ("A= B='1; 2' C=\"$HOME/x\" ", "wtname", " hook worktree-create"),
    ("", "wtname", " hook worktree-create 2>>/tmp/log"),
    ("", "wtname", " hook worktree-create 2> '/tmp/my log' </dev/null"),
    ("", "wtname", " hook worktree-create>/tmp/path 2>&1"),
    ("", "wtname", " hook worktree-create &>>/tmp/log # see; the log"),
    ("  ", "wtname", "  hook   worktree-create;\n"),
    ("", "wtname", " hook \\\n  worktree-create"),
]


@pytest.mark.parametrize(("before", "program", "after"), WHOLE)
def test_of_a_line_of_ours_only_the_program_changes(before: str, program: str, after: str) -> None:
    line = before + program + after
    text = created_by(line)
    assert claude_lines.ours(line, "worktree-create") == (before, program, after)
    assert lines(installed(text)) == [before + "'/opt/my tools/wtname'" + after]
    assert installed(installed(text)) == installed(text)
    assert claude_settings.uninstall(text) == "{}"


@pytest.mark.parametrize("line", ["'/opt/my tools/wtname'", '"/opt/my tools/wtname"', "/opt/my\\ tools/wtname"])
def test_of_a_line_with_the_right_program_nothing_changes(line: str) -> None:
    once = installed(created_by(f"A=1 {line} hook worktree-create 2>>/tmp/log"))
    assert lines(once) == [f"A=1 {line} hook worktree-create 2>>/tmp/log"]


# Lines that call wtname and run something else, too.
SHARED = [
    "./log-prompt.sh; wtname hook worktree-create",
    "./log-prompt.sh && wtname hook worktree-create",
    "./log-prompt.sh || wtname hook worktree-create",
    "tee /tmp/event | wtname hook worktree-create",
    "./log-prompt.sh\nwtname hook worktree-create",
    "./log-prompt.sh & wtname hook worktree-create",
    "wtname hook worktree-create; ./tell.sh",
    "wtname hook worktree-create && ./tell.sh",
    "wtname hook worktree-create || true",
    "wtname hook worktree-create | tail -1",
    "wtname hook worktree-create\n./tell.sh",
    "wtname hook worktree-create & ./tell.sh",
    "wtname hook worktree-create 2> >(tee log)",
    "wtname hook worktree-create <<EOF\nx\nEOF",
    "wtname hook worktree-create $(./more.sh)",
    "wtname hook worktree-create 2>`./log-name.sh`",
    "A=$(./key.sh) wtname hook worktree-create",
    'A="$(./key.sh)" wtname hook worktree-create',
    "A=`./key.sh` wtname hook worktree-create",
    '"$(./where.sh)"/wtname hook worktree-create',
    'p=$(wtname hook worktree-create); echo "$p"',
    'echo "$(wtname hook worktree-create)"',
    "{ wtname hook worktree-create; }",
    "(wtname hook worktree-create)",
    "bash -c 'wtname hook worktree-create; ./tell.sh'",
    "timeout 60 wtname hook worktree-create",
    "uv run -m wtname hook worktree-create",
    "./log.sh -m wtname hook worktree-create",
    "wtname hook worktree-create --more",
    "# as wished\nwtname hook worktree-create",
]


@pytest.mark.parametrize("line", SHARED)
def test_a_line_that_does_more_is_somebodys(line: str) -> None:
    text = created_by(line)
    assert claude_settings.uninstall(text) == text
    after = installed(text)
    assert lines(after) == [line] and "user-prompt-submit" in after
    assert claude_settings.uninstall(after) == text
    found = claude_settings.look("user", text)
    assert (found.ours, found.shared, found.others) == ([], {"WorktreeCreate": [line]}, {})
    assert claude_settings.conflict([found]) is None


@pytest.mark.parametrize(
    "line",
    [
        "./log.sh # instead of wtname hook worktree-create",
        "# wtname hook worktree-create\n./log.sh",
        "echo wtname hook worktree-create; ./log.sh",
        "my-wtname hook worktree-create",
        "wtname hook worktree-created",
        "wtname\nhook worktree-create",
    ],
)
def test_a_line_that_calls_nobody_of_ours(line: str) -> None:
    text = created_by(line)
    assert claude_settings.uninstall(text) == text
    assert len(lines(installed(text))) == 2
    found = claude_settings.look("user", text)
    assert (found.ours, found.shared, found.others) == ([], {}, {"WorktreeCreate": [line]})


@pytest.mark.parametrize(
    ("called", "whole", "shared"),
    [
        ({"command": "/opt/wtname", "args": ["hook", "worktree-create"]}, True, False),
        ({"command": "C:\\my tools\\wtname.exe", "args": ["hook", "worktree-create"]}, True, False),
        ({"command": "/opt/my venv/python", "args": ["-m", "wtname", "hook", "worktree-create"]}, True, False),
        ({"command": "bash", "args": ["-c", "wtname hook worktree-create; ./tell.sh"]}, False, True),
        ({"command": "./log.sh", "args": ["-m", "wtname", "hook", "worktree-create"]}, False, True),
        ({"command": "timeout", "args": ["9", "wtname", "hook", "worktree-create"]}, False, True),
        ({"command": "other", "args": ["hook", "worktree-create"]}, False, False),
        ({"command": ["wtname", "hook", "worktree-create"]}, False, False),
    ],
)
def test_args(called: dict[str, object], whole: bool, shared: bool) -> None:
    hook = {"type": "command", **called, "timeout": 7}
    text = json.dumps({"hooks": {"WorktreeCreate": [{"hooks": [hook]}]}})
    assert claude_settings.uninstall(text) == ("{}" if whole else text)
    after = json.loads(installed(text))["hooks"]["WorktreeCreate"]
    told = {"command": "/opt/my tools/wtname", "args": ["hook", "worktree-create"]} if whole else {}
    assert after[0]["hooks"] == [{**hook, **told}]
    assert len(after) == (1 if whole or shared else 2)


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("wtname", ["wtname"]),
        ("A=1 wtname", ["wtname"]),
        ("'/opt/my tools/wtname'", ["/opt/my tools/wtname"]),
        ("/opt/python -m wtname", ["/opt/python"]),
        ("PATH=/opt/bin wtname", []),  # only that shell can tell
        ('"$HOME"/bin/wtname', []),
    ],
)
def test_programs_that_are_not_there(line: str, missing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = claude_settings.look("user", created_by(f"{line} hook worktree-create 2>>/tmp/log"))
    assert found.missing == missing


def test_what_else_a_hook_of_ours_says_stays() -> None:
    text = """{"hooks": {"WorktreeCreate": [
  {"hooks": [{ "timeout": 900,  "statusMessage": "making it", "type": "command",
    "command": "A=1 /old/wtname hook worktree-create 2>>/tmp/log", "once": false }]}]}}"""
    after = installed(text)
    assert after.startswith(text.replace("/old/wtname", "'/opt/my tools/wtname'").removesuffix("]}}") + "]")
    assert claude_settings.uninstall(after) == "{}"


def test_on_windows_what_needs_quotes_goes_by_args(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    hook = {"timeout": 7, "command": "wtname hook worktree-create", "type": "command"}
    after = installed(json.dumps({"hooks": {"WorktreeCreate": [{"hooks": [hook]}]}}))
    args = {"command": "/opt/my tools/wtname", "args": ["hook", "worktree-create"]}
    assert json.loads(after)["hooks"]["WorktreeCreate"] == [{"hooks": [{**hook, **args}]}]
    assert installed(after) == after
    assert lines(installed(created_by("A=1 wtname hook worktree-create"))) == [
        "A=1 '/opt/my tools/wtname' hook worktree-create"
    ]


def test_the_last_of_two_members_counts() -> None:
    text = '{"hooks": {"Stop": []}, "hooks": {}}'
    assert list(json.loads(installed(text))["hooks"]) == list(EVENTS)
    member = json_edit.member(text, 0, "hooks")
    assert member and text[member.value : member.end] == "{}"


@pytest.fixture
def project(repo: Path, hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    return repo


def place(scope: str, project: Path, home: Path) -> Path:
    return {
        "user": home / ".claude" / "settings.json",
        "project": project / ".claude" / "settings.json",
        "local": project / ".claude" / "settings.local.json",
    }[scope]


@pytest.mark.parametrize("scope", ["user", "project", "local"])
def test_scopes(run: Run, project: Path, hermetic: Path, scope: str) -> None:
    file = place(scope, project, hermetic)
    done = run("hook", "claude", "install", f"--{scope}")
    assert (done.exit_code, done.stdout) == (0, f"{file}\n")
    first = file.read_bytes()
    assert run("hook", "claude", "install", f"--{scope}").exit_code == 0
    assert file.read_bytes() == first
    told = json.loads(run("hook", "claude", "status", "--json").stdout)
    assert [row["where"] for row in told["places"] if row["events"]] == [scope]
    others = [place(other, project, hermetic) for other in ("user", "project", "local") if other != scope]
    assert not any(other.exists() for other in others)
    done = run("hook", "claude", "uninstall", f"--{scope}")
    assert (done.exit_code, file.read_text()) == (0, "{}\n")
    assert "not installed" in run("hook", "claude", "uninstall", f"--{scope}").stderr


def test_a_folder_of_claudes_own(run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "elsewhere"))
    assert run("hook", "claude", "install").exit_code == 0
    assert (tmp_path / "elsewhere" / "settings.json").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ('{"a": 1} // why', "is no JSON"),
        ('/* ours */ {"a": 1}', "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"hooks": []}', "of another shape"),
        ('{"hooks": {"WorktreeCreate": {}}}', "of another shape"),
        ('{"hooks": {"WorktreeCreate": [{}]}}', "of another shape"),
    ],
)
def test_refused(run: Run, project: Path, hermetic: Path, text: str, why: str) -> None:
    file = place("user", project, hermetic)
    file.parent.mkdir()
    file.write_text(text)
    for verb in ("install", "uninstall"):
        done = run("hook", "claude", verb)
        assert (done.exit_code, done.stdout) == (1, "")
        assert why in done.stderr and done.stderr.count("\n") == 1
    assert run("hook", "claude", "status").exit_code == 1
    assert file.read_text() == text
    assert os.listdir(file.parent) == ["settings.json"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_is_followed_and_a_mode_kept(run: Run, project: Path, hermetic: Path, tmp_path: Path) -> None:
    file = place("user", project, hermetic)
    file.parent.mkdir()
    real = tmp_path / "dotfiles.json"
    real.write_text('{"model": "opus"}')
    real.chmod(0o640)
    file.symlink_to(real)
    run("hook", "claude", "install")
    assert file.is_symlink()
    assert "worktree-create" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_written_by_another_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"theirs": 1}')
    with pytest.raises(claude_settings.WtnameError, match="by another program"):
        claude_settings.write(file, "{}", '{"ours": 1}')
    assert file.read_text() == '{"theirs": 1}'
    assert os.listdir(tmp_path) == ["settings.json"]


def test_another_tools_hook(run: Run, project: Path, hermetic: Path) -> None:
    file = place("project", project, hermetic)
    file.parent.mkdir()
    theirs = '{"hooks": {"WorktreeCreate": [{"hooks": [{"type": "command", "command": "wt hook create"}]}]}}'
    file.write_text(theirs)
    done = run("hook", "claude", "install")
    assert done.exit_code == 1 and "wt hook create (project)" in done.stderr
    assert not place("user", project, hermetic).exists()
    assert run("hook", "claude", "install", "--force").exit_code == 0
    done = run("hook", "claude", "status")
    assert done.exit_code == 1 and "makes worktrees as well" in done.stderr
    file.write_text(theirs.replace("WorktreeCreate", "PostToolUse"))
    assert run("hook", "claude", "install").exit_code == 0
    assert run("hook", "claude", "status").exit_code == 0


def test_a_line_that_does_more_is_told_of(run: Run, project: Path, hermetic: Path) -> None:
    file = place("user", project, hermetic)
    file.parent.mkdir()
    line = "./log-prompt.sh; wtname hook worktree-create"
    file.write_text(created_by(line))
    done = run("hook", "claude", "install")
    assert done.exit_code == 0 and done.stderr.count(f"WorktreeCreate: {line} calls wtname already") == 1
    assert lines(file.read_text()) == [line] and "another tool" not in done.stderr
    done = run("hook", "claude", "status")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"WorktreeRemove, UserPromptSubmit, WorktreeCreate as part of: {line}\n" in done.stdout
    [row] = [row for row in json.loads(run("hook", "claude", "status", "--json").stdout)["places"] if row["events"]]
    assert row["shared"] == {"WorktreeCreate": [line]} and row["others"] == {}
    done = run("hook", "claude", "uninstall")
    assert done.exit_code == 0 and f"{line} calls wtname and does more" in done.stderr
    assert file.read_text() == created_by(line)
    assert json.loads(run("hook", "claude", "status", "--json").stdout)["installed"] is True
    file.write_text(created_by(line, "wtname hook worktree-create"))
    assert "WorktreeCreate calls wtname twice" in run("hook", "claude", "status").stderr


@pytest.mark.parametrize(("scope", "told"), [("project", 1), ("user", 0), ("local", 0)])
def test_who_has_no_wtname_is_thought_of(run: Run, project: Path, scope: str, told: int) -> None:
    done = run("hook", "claude", "install", f"--{scope}")
    assert done.exit_code == 0 and done.stderr.count("who has no wtname on the PATH cannot make any worktree") == told
    text = (project / ".claude" / "settings.json").read_text() if told else ""
    assert lines(text or created_by("wtname hook worktree-create")) == ["wtname hook worktree-create"]


def test_local_settings_that_git_does_not_ignore(run: Run, project: Path) -> None:
    before = git("status", "--porcelain", cwd=project)
    done = run("hook", "claude", "install", "--local")
    rule, exclude = ".claude/settings.local.json", project / ".git" / "info" / "exclude"
    assert done.exit_code == 0 and f"add the line {rule} to {exclude}\n" in done.stderr
    assert git("status", "--porcelain", "-uall", cwd=project) == f"?? {rule}"
    with open(exclude, "a") as file:
        file.write(f"{rule}\n")
    (deep := project / "deep").mkdir()
    assert "git does not ignore" not in run("hook", "claude", "install", "--local", "-C", deep).stderr
    assert git("status", "--porcelain", cwd=project) == before
    linked = project.parent / "linked"
    git("worktree", "add", "-q", linked, cwd=project)
    assert "git does not ignore" not in run("hook", "claude", "install", "--local", "-C", linked).stderr
    exclude.write_text("")
    assert f"to {exclude}\n" in run("hook", "claude", "install", "--local", "-C", linked).stderr


@pytest.mark.parametrize("scope", ["user", "project"])
def test_other_settings_need_not_be_ignored(run: Run, project: Path, scope: str) -> None:
    assert "git does not ignore" not in run("hook", "claude", "install", f"--{scope}").stderr


def test_local_settings_outside_a_repository(run: Run, hermetic: Path, tmp_path: Path) -> None:
    done = run("hook", "claude", "install", "--local", "-C", tmp_path)
    assert done.exit_code == 0 and "git does not ignore" not in done.stderr


def plugin(home: Path, name: str, hooks: str, enabled: bool = True) -> None:
    folder = home / ".claude" / "plugins" / name
    (folder / "hooks").mkdir(parents=True)
    (folder / "hooks" / "hooks.json").write_text(hooks)
    known = {"version": 2, "plugins": {f"{name}@market": [{"installPath": str(folder)}]}}
    (home / ".claude" / "plugins" / "installed_plugins.json").write_text(json.dumps(known))
    (home / ".claude" / "settings.json").write_text(json.dumps({"enabledPlugins": {f"{name}@market": enabled}}))


@pytest.mark.parametrize(("enabled", "code"), [(True, 1), (False, 0)])
def test_plugin_and_settings(run: Run, project: Path, hermetic: Path, enabled: bool, code: int) -> None:
    hooks = (ROOT / "hooks" / "claude-code" / "hooks" / "hooks.json").read_text()
    plugin(hermetic, "wtname", hooks, enabled)
    assert ("plugin wtname@market" in run("hook", "claude", "status").stdout) is enabled
    run("hook", "claude", "install")
    done = run("hook", "claude", "status")
    assert done.exit_code == code
    assert ("installed in user and plugin wtname@market" in done.stderr) is enabled


@pytest.mark.parametrize(("enabled", "code"), [(True, 1), (False, 0)])
def test_another_tools_plugin(run: Run, project: Path, hermetic: Path, enabled: bool, code: int) -> None:
    plugin(hermetic, "other", '{"hooks": {"WorktreeCreate": [{"hooks": [{"type": "http", "url": "x"}]}]}}', enabled)
    assert run("hook", "claude", "install").exit_code == code


def test_problems(run: Run, project: Path, hermetic: Path) -> None:
    file = place("user", project, hermetic)
    file.parent.mkdir()
    file.write_text(claude_settings.install("", [str(hermetic / "gone" / "wtname")]))
    assert "which is not there" in run("hook", "claude", "status").stderr
    file.write_text(file.read_text().replace(f"{hermetic}/gone/wtname hook", '\\"$HOME\\"/gone/wtname hook'))
    assert "$HOME" in file.read_text() and run("hook", "claude", "status").exit_code == 0
    run("hook", "claude", "install")
    assert run("hook", "claude", "status").exit_code == 0
    told = json.loads(file.read_text())
    del told["hooks"]["UserPromptSubmit"]
    file.write_text(json.dumps(told | {"disableAllHooks": True}))
    done = run("hook", "claude", "status")
    assert done.exit_code == 1
    assert "UserPromptSubmit is not there" in done.stderr and "disableAllHooks" in done.stderr


def test_outside_a_repository_and_in_a_home_that_is_one(
    run: Run, hermetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run("hook", "claude", "install", "--project").stdout == f"{tmp_path}/.claude/settings.json\n"
    git("init", "-q", hermetic)
    monkeypatch.chdir(hermetic)
    run("hook", "claude", "install")
    done = run("hook", "claude", "status")
    assert (done.exit_code, done.stdout.count("WorktreeCreate")) == (0, 1)


def by_hand() -> dict[str, object]:
    told = (ROOT / "docs" / "claude-code.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```json\n(.*?)```", told, re.S)
    return dict(json.loads(block))


def plugins_own() -> dict[str, object]:
    return dict(json.loads((ROOT / "hooks" / "claude-code" / "hooks" / "hooks.json").read_text()))


@pytest.mark.parametrize("told", [by_hand, plugins_own])
def test_docs_and_plugin_say_what_install_writes(told: Callable[[], dict[str, object]]) -> None:
    assert told()["hooks"] == json.loads(claude_settings.install("", ["wtname"]))["hooks"]


def test_the_plugins_version() -> None:
    manifest = json.loads((ROOT / "hooks" / "claude-code" / ".claude-plugin" / "plugin.json").read_text())
    assert f'\nversion = "{manifest["version"]}"\n' in (ROOT / "pyproject.toml").read_text()
