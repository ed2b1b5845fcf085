"""Draw the terminal pictures of README and docs/ from real runs of wtname in throw-away repositories.

    python docs/terminal.py [SCENE...]

Every line of output in a picture is what its commands printed; only the temporary folder reads `~`. wtname has to be
installed beside the Python that runs this; a scene with claude in it needs Claude Code, on PATH or as WTNAME_CLAUDE;
what its model says comes from this machine.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from claude_api import Api  # noqa: E402

WIDTH = 100
WHO = {"NAME": "Ada", "EMAIL": "ada@example.org"}
BEGUN = {"GIT_AUTHOR_DATE": "2026-01-01T09:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T09:00:00Z"}
PROMPT = "\x01"  # before the folder that a command runs in

SCENES = {
    "terminal": [
        'wtname new "Fix crash on zero-width columns"',
        'wtname suggest "csv export dies when a customer\'s name has an emoji in it, can u fix that"',
        'wtname suggest -n 3 "PROJ-214: retry webhooks with backoff when the endpoint times out"',
        'wtname new "Fix crash on zero-width columns"',
        "git worktree list",
    ],
    "shells": [
        'eval "$(wtname init bash)"',
        'wtn "Fix crash on zero-width columns"',
        "git branch --show-current",
        "wts main",
        "wts crash",
        "wtrm",
        "pwd",
    ],
    "git-hook": [
        "wtname hook install",
        "git switch -q -c wt-3f9a1c2d",
        "echo 'retries = 3' > webhooks.py && git add webhooks.py",
        'git commit -q -m "Retry webhooks with exponential backoff"',
        "wtname rename",
        "git log --oneline --decorate -1",
    ],
    "claude-code": [
        "wtname hook claude install",
        "wtname hook claude status",
        'claude -p "Fix the login redirect" -w',
        "wtname list",
    ],
    "mcp": [
        "claude mcp add wtname -- wtname mcp",
        "claude mcp list",
    ],
    "python": [
        "cat name.py",
        "python name.py",
    ],
}
FILES = {
    "python": {
        "name.py": "from wtname import suggest, suggestions\n\n"
        'print(suggest("Fix crash on zero-width columns").name)\n'
        'for one in suggestions("Add a dark mode toggle to the settings page", 3):\n'
        "    print(one.type, one.name, one.confidence)\n"
    },
}


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "WTNAME_", "XDG_", "CLAUDE"))}
    who = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in WHO.items()}
    path = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if claude := os.environ.get("WTNAME_CLAUDE"):
        path.insert(0, str(Path(claude).parent))
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_ADVICE": "0", "WTNAME_DEADLINE": "10"}
    quiet |= {f"DISABLE_{what}": "1" for what in ("AUTOUPDATER", "TELEMETRY", "ERROR_REPORTING")}
    return {
        **kept,
        **who,
        **quiet,
        "ANTHROPIC_API_KEY": "sk-ant-none",
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PATH": os.pathsep.join(path),
    }


def run(commands: list[str], repo: Path, env: dict[str, str]) -> list[tuple[str, str, str]]:
    """(folder, command, what it printed) of commands that one bash runs one after the other."""
    lines = ["set -e"]
    for command in commands:
        lines += [f"printf '{PROMPT}%s\\n' \"$PWD\"", command]
    script = "\n".join(lines)
    done = subprocess.run(["bash", "-c", script], cwd=repo, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode()
    if done.returncode or "picked from the words" in text:
        sys.exit(f"exit code {done.returncode}:\n{text}")
    parts = [part.partition("\n") for part in text.split(PROMPT)[1:]]
    return [(folder, command, said) for (folder, _, said), command in zip(parts, commands, strict=True)]


def draw(scene: str, home: Path) -> str:
    env = environment(home)
    repo = home / "shop"
    subprocess.run(["git", "init", "-q", "-b", "main", repo], env=env, check=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "start"], cwd=repo, env=env | BEGUN, check=True)
    for name, text in FILES.get(scene, {}).items():
        (repo / name).write_text(text)

    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    with Api() as api:
        done = run(SCENES[scene], repo, env | {"ANTHROPIC_BASE_URL": api.url})
    for number, (folder, command, said) in enumerate(done):
        if number and scene == "terminal":
            console.print()
        console.print(Text.assemble((f"{folder} $ ".replace(str(home), "~"), "bold green"), (command, "bold")))
        if said := said.replace(str(home), "~").rstrip("\n"):
            console.print(Text.from_ansi(said))
    svg = console.export_svg(title="wtname", unique_id="wtname")
    # Readers need no font server: without the web font the picture falls back to their own monospace.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)


def main(scenes: list[str]) -> None:
    for scene in scenes or SCENES:
        with tempfile.TemporaryDirectory() as folder:
            svg = draw(scene, Path(folder).resolve())
        out = DOCS / f"{scene}.svg"
        partial = out.with_suffix(".part")
        partial.write_text(svg, encoding="utf-8")
        partial.replace(out)
        print(shlex.quote(str(out)))


if __name__ == "__main__":
    main(sys.argv[1:])
