"""How long a name takes with the model loaded, as a whole cold process, and as a worktree beside git's own."""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from wtname import child
from wtname.git import Running
from wtname.models import Found
from wtname.namer import Namer

_LONG = (
    "We moved the nightly export to the new queue last week and since then the job has been flaky. "
    "It usually starts, reads about half of the accounts, and then one of the workers stops answering. "
    "I looked at the dashboards: memory is fine, CPU is fine, but the number of open connections goes up "
    "until the pool is empty. I think the worker never gives a connection back when a row fails to parse. "
    "Please find where that happens, make sure the connection is released, and add a test that fails without "
    "the change. Don't touch the retry logic, Maria is rewriting that one in another branch. "
)
PROMPTS = (
    "Fix crash on zero-width columns",
    "Add dark mode toggle to the settings page",
    "Bump actions/checkout from v3 to v4",
    "docs: explain how to configure SSO with Okta",
    "TypeError: cannot read properties of undefined (reading 'id') in OrderList",
    "Refactor PaymentService to use async/await",
    "can u make the csv export not choke on emoji in customer names",
    "Remove the deprecated v1 endpoints",
    "Flaky test: test_scheduler_runs_twice fails on Windows",
    "Support IPv6 addresses in the allow list",
    "the login button does nothing on safari, pls fix",
    "Rename getCwd to getCurrentWorkingDirectory everywhere",
    "Upgrade to Django 5.2",
    "Implement rate limiting for the public API (PROJ-1423)",
    "Typo in README",
    "Memory leak when websocket connections are closed by the client",
    "I want the CLI to print a progress bar while uploading large files",
    "Use a connection pool for Redis",
    "Wrong total on invoices with a discount and several tax rates #482",
    "Write unit tests for the date parser",
    "Make the sidebar collapsible on small screens",
    "Prevent double submission of the checkout form",
    "Move shared types into their own package",
    "Cache compiled templates between requests",
    "Add support for `--dry-run` to the migrate command",
    "Handle 429 responses from the GitHub API with exponential backoff",
    "Der Export bricht bei Umlauten im Dateinamen ab, bitte beheben",
    "Format the code with ruff and turn on import sorting",
    "Deadlock between the writer thread and the flush timer",
    "Let admins impersonate a user for support",
    "Docker image runs as root",
    "Parse dates in ISO 8601 week format",
    "Show the last sync time in the status bar",
    "The search index isn't updated after a document is deleted",
    "Drop Python 3.9",
    "Replace moment.js with date-fns",
    "As a user I want to reset my password by e-mail so that I don't have to call support",
    "Add a healthcheck endpoint for Kubernetes liveness probes",
    "Webhook signatures are compared with == instead of a constant time comparison",
    "Clean up unused feature flags",
    "Translate the onboarding screens into Spanish and Portuguese",
    "Streaming responses are cut off after 30 seconds behind the proxy",
    "Set up CI for the mobile app on GitHub Actions",
    "Sort the leaderboard by score, then by name",
    "Speed up the dashboard: the query for active users takes 8 seconds",
    "Validate file type and size before upload",
    _LONG,
    "Please look at src/parser/tokenizer.ts. " + _LONG,
    "Add OpenTelemetry tracing to the order pipeline",
    "Keyboard focus is lost when the modal closes",
)


class Times(NamedTuple):
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float


def percentiles(times: list[float]) -> Times:
    """Nearest-rank percentiles: with few runs, the P99 is the slowest."""
    ranked = sorted(times)
    return Times(*(round(ranked[max(0, math.ceil(len(ranked) * p / 100) - 1)], 2) for p in (50, 95, 99)))


def _timed(work: Callable[..., object], *args: object) -> float:
    start = time.perf_counter()
    work(*args)
    return (time.perf_counter() - start) * 1000


def _worktrees(flag: tuple[str, ...], prompts: list[str]) -> tuple[list[float], list[float]]:
    """Times of `wtname new` and of a bare `git worktree add`, in turns, in a throw-away repository of one file."""
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder, "bench")
        who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        Running("init", "-q", str(repo)).output()
        (repo / "README").write_text("bench\n")
        Running("add", "README", cwd=repo).output()
        Running(*who, "commit", "-q", "--no-verify", "--no-gpg-sign", "-m", "bench", cwd=repo).output()
        new, bare = [], []
        for i, prompt in enumerate(prompts):
            new.append(_timed(child.run, "-m", "wtname", "new", "-C", str(repo), *flag, "--", prompt))
            add = ("worktree", "add", "-q", "-b", f"bare-{i}", str(Path(folder, f"bare-{i}")))
            bare.append(_timed(lambda add=add: Running(*add, cwd=repo).output()))
        return new, bare


def run(found: Found, n: int, cold: int) -> dict[str, object]:
    """Time `n` names in this process, and `cold` whole processes beside an `import click` and a `git worktree add`."""
    namer = Namer(found.path)
    prompts = list(itertools.islice(itertools.cycle(PROMPTS), max(n, cold)))
    load = _timed(namer.name, PROMPTS[0])
    warm = [_timed(namer.name, prompt) for prompt in prompts[:n]]
    sources = [namer.name(prompt).source for prompt in prompts[:n]]
    flag = ("--model", str(found.path.absolute()))
    whole, click = [], []
    for prompt in prompts[:cold]:
        whole.append(_timed(child.run, "-m", "wtname", "suggest", *flag, "--", prompt))
        click.append(_timed(child.run, "-c", "import click"))
    report: dict[str, object] = {
        "model": str(found.path),
        "by_model": sources.count("model"),
        "n": n,
        "cold_n": cold,
        "load_ms": round(load, 2),
        "warm_ms": percentiles(warm)._asdict(),
    }
    if cold:
        report["cold_ms"] = percentiles(whole)._asdict()
        report["click_ms"] = percentiles(click)._asdict()
        new, bare = _worktrees(flag, prompts[:cold])
        report["new_ms"] = percentiles(new)._asdict()
        report["git_worktree_add_ms"] = percentiles(bare)._asdict()
        report["new_over_git_ms"] = round(percentiles(new).p50 - percentiles(bare).p50, 2)
        report["cold_to_click"] = round(percentiles(whole).p95 / percentiles(click).p95, 2)
    return report


def table(report: dict[str, object]) -> str:
    """The report for people."""
    rows = [f"{'':24}{'P50':>9}{'P95':>9}{'P99':>9}  ms"]
    titles = {"warm_ms": "a name, model loaded", "cold_ms": "a whole process", "click_ms": "import click",
              "new_ms": "wtname new", "git_worktree_add_ms": "git worktree add"}  # fmt: skip
    for key, title in titles.items():
        times = report.get(key)
        if isinstance(times, dict):
            rows.append(f"{title:24}" + "".join(f"{value:9.1f}" for value in times.values()))
    rows.append(f"{'import, load, first name':24}{report['load_ms']:9.1f}")
    if "cold_to_click" in report:
        rows.append(f"a whole process takes {report['cold_to_click']} times an `import click` (P95)")
        rows.append(f"`wtname new` takes {report['new_over_git_ms']} ms more than `git worktree add` (P50)")
    rows.append(f"{report['by_model']} of {report['n']} names by {report['model']}")
    return "\n".join(rows)
