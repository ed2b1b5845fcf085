"""What a prompt in Claude Code waits for: `wtname hook user-prompt-submit` beside `python -c "import click"`, in turns.

    python -m benchmarks.claude_hooks --rounds 40

It works in a temporary repository and home, and prints a table and then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wtname.bench import percentiles

ROOT = Path(__file__).parent.parent
RANDOM = "nifty-dreaming-biscuit"


def git(*args: str | Path, cwd: Path) -> None:
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgSign=false")
    subprocess.run(["git", *who, *map(str, args)], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


class Hooks:
    """The hooks, called as Claude Code calls them."""

    def __init__(self, folder: Path) -> None:
        self.repo = folder / "bench"
        git("init", "-q", "-b", "main", self.repo, cwd=folder)
        git("commit", "-q", "--allow-empty", "-m", "first", cwd=self.repo)
        home = {"HOME": str(folder), "USERPROFILE": str(folder), "APPDATA": str(folder), "LOCALAPPDATA": str(folder)}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("CLAUDE", "XDG_"))}
        self.env = {**inherited, **home, "PYTHONPATH": str(ROOT)}

    def python(self, *args: str, given: str = "") -> tuple[float, str]:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *args],
            cwd=self.repo,
            env=self.env,
            input=given,
            text=True,
            capture_output=True,
            check=True,
        )
        return (time.perf_counter() - start) * 1000, done.stdout

    def hook(self, which: str, session: str, cwd: str | None = None, **facts: str) -> tuple[float, str]:
        event = {"session_id": session, "cwd": cwd or str(self.repo), **facts}
        return self.python("-m", "wtname", "hook", which, given=json.dumps(event))


def measure(hooks: Hooks, rounds: int) -> dict[str, list[float]]:
    """Times of each; in every round a worktree is made, named and removed."""
    times: dict[str, list[float]] = {}
    for i in range(rounds + 1):
        task = "Fix the login redirect"
        made, path = hooks.hook("worktree-create", f"c{i}", name=RANDOM)
        renamed, told = hooks.hook("user-prompt-submit", f"r{i}", path.strip(), prompt=task)
        assert "renamed" in told
        removed, _ = hooks.hook("worktree-remove", f"c{i}", worktree_path=path.strip())
        took = {
            'python -c "import click"': hooks.python("-c", "import click")[0],
            "prompt, no task": hooks.hook("user-prompt-submit", f"p{i}", prompt="hi")[0],
            "prompt, first": hooks.hook("user-prompt-submit", f"p{i}", prompt=task)[0],
            "prompt, later": hooks.hook("user-prompt-submit", f"p{i}", prompt=task)[0],
            "prompt that renames": renamed,
            "worktree-create": made,
            "worktree-remove": removed,
        }
        for name, ms in took.items() if i else ():  # the first round warms the disk's cache
            times.setdefault(name, []).append(ms)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        times = {name: percentiles(taken) for name, taken in measure(Hooks(Path(folder)), rounds).items()}
    print(f"{'':26}{'P50':>9}{'P95':>9}  ms")
    for name, figures in times.items():
        print(f"{name:26}{figures.p50:9.1f}{figures.p95:9.1f}")
    print(json.dumps({"rounds": rounds, "ms": {name: [figures.p50, figures.p95] for name, figures in times.items()}}))


if __name__ == "__main__":
    main()
