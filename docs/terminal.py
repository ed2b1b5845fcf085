"""Draw docs/terminal.svg from a real run of wtname in a throw-away repository.

    python docs/terminal.py

Every line of output in the picture is what the commands below printed; only the temporary folder reads `~`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

OUT = Path(__file__).with_name("terminal.svg")
WIDTH = 96

COMMANDS = [
    'wtname new "Fix crash on zero-width columns"',
    'wtname suggest "can u make the csv export not choke on emoji in customer names"',
    'wtname suggest -n 3 "PROJ-214: retry webhooks with backoff when the endpoint times out"',
    'wtname new "Fix crash on zero-width columns"',
    "git worktree list",
]


WHO = {"NAME": "Ada", "EMAIL": "ada@example.org", "DATE": "2026-01-01T09:00:00Z"}


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "WTNAME_", "XDG_"))}
    who = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in WHO.items()}
    return {**kept, **who, "HOME": str(home), "USERPROFILE": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


def shell(command: str, cwd: Path, env: dict[str, str]) -> str:
    wtname = f'"{sys.executable}" -m wtname'
    line = re.sub(r"\bwtname (?=suggest|new|model|bench|doctor)", lambda _: wtname + " ", command)
    done = subprocess.run(line, shell=True, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8")
    if done.returncode or done.stderr:  # a fallback name is no picture of the model: try again on an idle machine
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def draw(home: Path) -> str:
    env = environment(home)
    repo = home / "shop"
    shell(f'git init -q -b main "{repo}"', home, env)
    shell("git commit -q --allow-empty -m start", repo, env)

    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    for number, command in enumerate(COMMANDS):
        if number:
            console.print()
        console.print(Text.assemble(("~/shop $ ", "bold green"), (command, "bold")))
        console.print(Text(shell(command, repo, env).replace(str(home), "~").rstrip("\n")))
    svg = console.export_svg(title="wtname", unique_id="wtname")
    # Readers need no font server: without the web font the picture falls back to their own monospace.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        svg = draw(Path(folder).resolve())
    partial = OUT.with_suffix(".part")
    partial.write_text(svg, encoding="utf-8")
    partial.replace(OUT)
    print(OUT)


if __name__ == "__main__":
    main()
