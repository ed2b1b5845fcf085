"""All worktrees with what one wants to know of each, and how that is shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import click

from wtname.display import cut, pad, visible, width
from wtname.git import Repository, refs, status
from wtname.git.status import Head, Standing, Upstream


class Row(NamedTuple):
    """A worktree. `task`: the first line of the branch's description, or else of its last commit; `standing`: beside
    the default branch; `dirty`: changed files, None where they cannot be counted."""

    path: Path
    branch: str | None
    task: str
    head: str | None
    current: bool
    main: bool
    bare: bool
    missing: bool
    locked: str | None
    dirty: int | None
    unfinished: str | None
    standing: Standing
    upstream: Upstream | None
    last: Head | None


_NOTHING = Standing(None, None, None, False)


def gather(repo: Repository) -> tuple[str | None, list[Row]]:
    """The default branch, and every worktree, the one with the latest commit first."""
    known = repo.worktrees()
    places = [Path(one["worktree"]) for one in known]
    there = [path for path, one in zip(places, known, strict=True) if _is_there(path, one)]
    with closing(status.Dirt(repo, there)) as dirt:
        tips = {one["HEAD"] for one in known if one.get("HEAD", "").strip("0")}
        branches = {branch: one["HEAD"] for one in known if (branch := _branch(one)) and one.get("HEAD", "").strip("0")}
        asked_heads, asked_upstreams = status.ask_heads(repo, tips), status.ask_upstreams(repo, branches)
        described = refs.descriptions(repo)
        into = status.trunk(repo)
        # A detached worktree stands somewhere, too; its commit has no colon and so no branch is called like that.
        loose = {":" + one["HEAD"]: one["HEAD"] for one in known if "detached" in one}
        standings = status.standings(repo, into, branches | loose) if into else {}
        heads, upstreams = status.heads(asked_heads), status.upstreams(asked_upstreams)
        dirty = dirt.counts()

    def row(path: Path, one: dict[str, str]) -> Row:
        branch, head = _branch(one), one.get("HEAD", "")
        last = heads.get(head)
        lines = described.get(branch or "", "").splitlines()
        return Row(
            path=path,
            branch=branch,
            task=next((line.strip() for line in lines if line.strip()), last.subject if last else ""),
            head=head if last else None,
            current=status.git_dir(repo, path) == repo.git_dir.resolve(),
            main=path == places[0],
            bare="bare" in one,
            missing=path not in there and "bare" not in one,
            locked=one.get("locked"),
            dirty=dirty.get(path),
            unfinished=status.unfinished(repo, path) if path in there else None,
            standing=standings.get(branch or ":" + head, _NOTHING),
            upstream=upstreams.get(branch or ""),
            last=last,
        )

    rows = [row(path, one) for path, one in zip(places, known, strict=True)]
    return into, sorted(rows, key=lambda row: -row.last.time if row.last else 0)


def _branch(known: dict[str, str]) -> str | None:
    return known.get("branch", "").removeprefix("refs/heads/") or None


def _is_there(path: Path, known: dict[str, str]) -> bool:
    return "bare" not in known and "prunable" not in known and path.is_dir()


def facts(row: Row, into: str | None) -> dict[str, Any]:
    """Everything, for programs."""
    upstream = row.upstream
    return {
        "branch": row.branch,
        "path": str(row.path),
        "task": row.task,
        "current": row.current,
        "main": row.main,
        "bare": row.bare,
        "detached": not row.branch and not row.bare,
        "missing": row.missing,
        "locked": row.locked is not None,
        "lock_reason": row.locked or None,
        "dirty": row.dirty,
        "unfinished": row.unfinished,
        "base": into,
        "ahead": row.standing.ahead,
        "behind": row.standing.behind,
        "merged": row.standing.merged,
        "empty": row.standing.empty,
        "upstream": upstream and upstream.name,
        "upstream_ahead": upstream and upstream.ahead,
        "upstream_behind": upstream and upstream.behind,
        "upstream_gone": bool(upstream and upstream.gone),
        "commit": row.head,
        "subject": row.last and row.last.subject,
        "time": row.last and _iso(row.last.time),
    }


def state(row: Row) -> list[tuple[str, str]]:
    """What is to be said of a worktree, each with the colour it is said in."""
    said = [
        ("missing", "red") if row.missing else None,
        ("bare", "") if row.bare else None,
        (f"{row.unfinished} unfinished", "red") if row.unfinished else None,
        (f"{row.dirty} changed", "yellow") if row.dirty else None,
        ("unreadable", "red") if row.dirty is None and not row.missing and not row.bare else None,
        (row.standing.merged, "green") if row.standing.merged else None,
        ("new", "") if row.standing.empty else None,
        ("upstream gone", "yellow") if row.upstream and row.upstream.gone else None,
        (f"{row.upstream.ahead} unpushed", "yellow") if row.upstream and row.upstream.ahead else None,
        (f"{row.upstream.behind} to pull", "") if row.upstream and row.upstream.behind else None,
        ("locked", "") if row.locked is not None else None,
        ("detached", "") if not row.branch and not row.bare else None,
    ]
    return [one for one in said if one]


def _iso(seconds: int) -> str:
    from datetime import datetime, timezone

    latest = 253402300799  # the end of the year 9999; a commit may claim to be later
    return datetime.fromtimestamp(min(seconds, latest), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(seconds: float) -> str:
    """A time span in one number: 5m, 2h, 3d, 2w, 4mo, 1y."""
    for unit, length in (("y", 31557600), ("mo", 2629800), ("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return "now"


def lines(rows: Iterable[Row]) -> list[str]:
    """One line a worktree, for a pipe: branch, task, commits ahead and behind, state, last commit and path, between
    tabs and in full."""
    found = []
    for row in rows:
        words = ", ".join(word for word, _ in state(row))
        last = _iso(row.last.time) if row.last else ""
        found.append("\t".join(map(visible, [row.branch or "", row.task, _distance(row), words, last, str(row.path)])))
    return found


def table(rows: list[Row], *, columns: int, now: float, cwd: Path, home: Path) -> list[str]:
    """Two lines a worktree, for people, within so many columns: the task and how it stands, then where it is."""
    words = [", ".join(word for word, _ in state(row)) for row in rows]
    distances = [_distance(row) for row in rows]
    ages = [age(now - row.last.time) if row.last else "" for row in rows]
    for_distance, for_age = max(map(len, distances), default=0), max(map(len, ages), default=0)
    room = columns - 2 - 3 * 2 - for_distance - for_age
    for_words = min(max(map(width, words), default=0), room // 2)
    for_task = room - for_words
    for_branch = min(max((width(_name(row)) for row in rows), default=0), columns // 2)
    for_path = columns - 4 - for_branch - 2
    found = []
    for row, distance, old in zip(rows, distances, ages, strict=True):
        task = pad(cut(visible(row.task), for_task), for_task)
        found.append(
            f"{click.style('*', fg='green') if row.current else ' '} {click.style(task, bold=True)}"
            f"  {pad(distance, for_distance, left=True)}  {_styled(row, for_words)}  {pad(old, for_age, left=True)}"
        )
        branch = pad(cut(_name(row), for_branch), for_branch)
        path = cut(visible(_shown(row.path, cwd, home)), for_path, left=True)
        found.append(f"    {click.style(branch, fg='cyan')}  {click.style(path, dim=True)}")
    return found


def _name(row: Row) -> str:
    return visible(row.branch or f"({(row.head or '')[:8] or 'no branch'})")


def _distance(row: Row) -> str:
    ahead, behind = row.standing.ahead, row.standing.behind
    return " ".join(f"{sign}{number}" for sign, number in (("+", ahead), ("-", behind)) if number)


def _styled(row: Row, columns: int) -> str:
    """The state in as many words as there is room for."""
    styled = ""
    for i, (word, colour) in enumerate(state(row)):
        word = ", " * bool(i) + word
        text = cut(word, columns)
        styled += click.style(text, fg=colour or None)
        columns -= width(text)
        if text != word:
            break
    return styled + " " * columns


def _shown(path: Path, cwd: Path, home: Path) -> str:
    """The shortest way to write a path: from here, from home, or in full."""
    ways = [str(path)]
    if path.is_relative_to(home):
        ways.append(os.path.join("~", path.relative_to(home)))
    with suppress(ValueError):  # on another drive
        ways.append(os.path.relpath(path, cwd))
    return min(ways, key=width)
