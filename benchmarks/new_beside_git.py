"""What wtname adds to git in a large repository: `wtname new` beside a bare `git worktree add`, `wtname list` beside
`git status` in every worktree, and `wtname switch`.

    python -m benchmarks.new_beside_git                          # 20,000 packed refs, 10,000 files, 30 worktrees
    python -m benchmarks.new_beside_git --refs 500 --files 200 --commits 50 --worktrees 5 --rounds 5

It makes the repository (some 2 GB with the defaults) in memory where there is /dev/shm, as a checkout on a disk waits a
second more or less for what was written and deleted before it; --at chooses another place. It takes every figure in
turns with git's, so that a busy machine slows both alike, and prints a table and then one line of JSON. wtname runs
from bytecode, as it does once installed.
It ends with exit code 1 where `wtname new` takes more than 150 ms longer than the `git worktree add` of the same round,
in the median.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from wtname.bench import PROMPTS, percentiles

ROOT = Path(__file__).parent.parent
MEMORY = Path("/dev/shm")
LIMIT_MS = 150.0
WHO = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgSign=false", "-c", "gc.auto=0")
AT_ONCE = 8


def git(*args: str | Path, cwd: Path, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *WHO, *map(str, args)], cwd=cwd, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


def history(files: int, commits: int) -> Iterator[bytes]:
    """A history for `git fast-import`: all files in the first commit, two changed in each later one."""

    def change(i: int, version: int) -> str:
        text = "".join(f"{i} {version} {line}\n" for line in range(40))
        return f"M 100644 inline src/part{i % 100}/file{i}.txt\ndata {len(text)}\n{text}\n"

    for version in range(commits):
        when = f"bench <bench@localhost> {1_700_000_000 + version * 600} +0000"
        message = f"Change {version}"
        yield f"commit refs/heads/main\ncommitter {when}\ndata {len(message)}\n{message}\n".encode()
        numbers = range(files) if not version else {version * 7 % files, version * 13 % files}
        yield from (change(i, version).encode() for i in numbers)


def make(repo: Path, refs: int, files: int, commits: int) -> None:
    """The repository: as many packed refs, half of them a remote's, whose default branch is main."""
    git("init", "-q", "-b", "main", repo, cwd=repo.parent)
    git("fast-import", "--quiet", cwd=repo, stdin=b"".join(history(files, commits)))
    line = git("rev-list", "main", cwd=repo).split()
    named = {f"refs/heads/team/topic-{i:05}": line[i * 31 % len(line)] for i in range(refs // 2)}
    named |= {f"refs/remotes/origin/topic-{i:05}": line[i * 17 % len(line)] for i in range(refs - refs // 2 - 2)}
    named |= {"refs/heads/main": line[0], "refs/remotes/origin/main": line[0]}
    rows = "".join(f"{oid} {name}\n" for name, oid in sorted(named.items()))
    (repo / ".git" / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n" + rows)
    (repo / ".git" / "refs" / "heads" / "main").unlink()
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", cwd=repo)
    git("config", "remote.origin.url", "https://example.org/bench.git", cwd=repo)
    for key, value in zip(("user.name", "user.email"), ("bench", "bench@localhost"), strict=True):
        git("config", key, value, cwd=repo)
    git("checkout", "-q", "-f", "main", cwd=repo)


def fill(repo: Path, folder: Path, count: int) -> list[Path]:
    """Worktrees from all over the history: new ones, some with a commit, some with a changed file."""
    paths = []
    commits = int(git("rev-list", "--count", "main", cwd=repo))
    for i in range(count):
        path = folder / f"work-{i}"
        git("worktree", "add", "-q", "-b", f"work-{i}", path, f"main~{i * (commits - 1) // count}", cwd=repo)
        (path / "README").write_text(f"{i}\n")
        if i % 3 == 1:
            git("add", "README", cwd=path)
            git("commit", "-q", "-m", f"Work {i}", cwd=path)
        elif i % 3 == 0:
            (path / "README").unlink()
        paths.append(path)
    return paths


def timed(step: Callable[[int], object], i: int) -> float:
    if hasattr(os, "sync"):  # else a checkout waits for what the one before it has yet to write
        os.sync()
    start = time.perf_counter()
    step(i)
    return (time.perf_counter() - start) * 1000


def wtname(*args: str, cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(cwd.parent / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-m", "wtname", *args], cwd=cwd, env=env, capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return done.stdout.decode().strip()


def statuses(paths: list[Path]) -> None:
    """A bare `git status` in every worktree, as many at once as `wtname list` runs."""
    waiting = iter(paths)
    while some := [*itertools.islice(waiting, AT_ONCE)]:
        for running in [subprocess.Popen(["git", "status", "-s"], cwd=p, stdout=subprocess.DEVNULL) for p in some]:
            running.wait()


def measure(repo: Path, paths: list[Path], rounds: int) -> dict[str, list[float]]:
    """Times of everything, in turns; what a round made is removed before the next."""
    times: dict[str, list[float]] = {}
    steps: dict[str, Callable[[int], object]] = {
        "git worktree add": lambda i: git("worktree", "add", "-q", "-b", "bare", repo.parent / "bare", cwd=repo),
        "wtname new": lambda i: wtname("new", "--no-fetch", "--", PROMPTS[i % len(PROMPTS)], cwd=repo),
        "git for-each-ref": lambda i: git("for-each-ref", "--format=%(refname)", cwd=repo),
        f"git status, {len(paths) + 1} times": lambda i: statuses([repo, *paths]),
        "wtname list": lambda i: wtname("list", cwd=repo),
        "wtname switch": lambda i: wtname("switch", f"work-{i % len(paths)}" if paths else "main", cwd=repo),
    }
    before = set(worktrees(repo))
    for i in range(rounds + 1):
        # Whoever is second finds the caches, and the disk, as the first one left them: they take turns.
        for name, step in [*steps.items()][:: -1 if i % 2 else 1]:
            took = timed(step, i)
            if i:  # the first round warms the disk's cache
                times.setdefault(name, []).append(took)
        for path, branch in worktrees(repo).items():
            if path not in before:
                git("worktree", "remove", "--force", path, cwd=repo)
                git("update-ref", "-d", branch, cwd=repo)
    return times


def worktrees(repo: Path) -> dict[str, str]:
    blocks = git("worktree", "list", "--porcelain", cwd=repo).split("\n\n")
    known = [dict(line.partition(" ")[::2] for line in block.split("\n")) for block in blocks]
    return {one["worktree"]: one.get("branch", "") for one in known}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refs", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--commits", type=int, default=2_000)
    parser.add_argument("--worktrees", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=20)
    place = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    parser.add_argument("--at", type=Path, default=place, help=f"a folder for the repository (default: {place})")
    size = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=size.at) as folder:
        repo = Path(folder, "bench")
        make(repo, size.refs, size.files, size.commits)
        paths = fill(repo, Path(folder, "work"), size.worktrees)
        taken = measure(repo, paths, size.rounds)
    times = {name: percentiles(each) for name, each in taken.items()}
    print(f"{size.refs:,} refs, {size.files:,} files, {size.worktrees} worktrees, {size.rounds} rounds")
    print(f"{'':24}{'P50':>9}{'P95':>9}  ms")
    for name, figures in times.items():
        print(f"{name:24}{figures.p50:9.1f}{figures.p95:9.1f}")
    pairs = zip(taken["wtname new"], taken["git worktree add"], strict=True)
    more = round(statistics.median(ours - theirs for ours, theirs in pairs), 1)
    verdict = "within" if more <= LIMIT_MS else "ABOVE"
    print(f"wtname new takes {more} ms more than git worktree add: {verdict} {LIMIT_MS:.0f} ms")
    facts = {name: {"p50": figures.p50, "p95": figures.p95} for name, figures in times.items()}
    made = {key: value for key, value in vars(size).items() if key != "at"}
    print(json.dumps({**made, "more_ms": more, "times_ms": facts}))
    sys.exit(more > LIMIT_MS)


if __name__ == "__main__":
    main()
