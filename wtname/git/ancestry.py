"""How branches stand to the default branch: commits ahead and behind, merge bases; three processes for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from wtname.git.repository import Repository


class Commit(NamedTuple):
    """A commit of a walk; `seen` has a bit for each tip that it is reached from."""

    oid: str
    parents: list[str]
    seen: int


class Line(NamedTuple):
    """Where a tip stands: commits that it alone has and that it lacks, and the merge base (None: unrelated).
    `contained`: all of its commits are in; `straight`: it lies on the default branch's line of first parents."""

    ahead: int
    behind: int
    base: str | None
    contained: bool
    straight: bool


class Ancestry:
    """Tips beside one commit, the default branch's."""

    def __init__(self, repo: Repository, tips: Iterable[str], into: str) -> None:
        self._tips = {tip: 1 << i for i, tip in enumerate(dict.fromkeys(tips))}
        self._own, edges = _walk(repo, self._tips, [*self._tips, "^" + into])
        apart = {commit.oid for commit in self._own}
        bases = {
            tip: _bases(repo, tip, into, [oid for oid, seen in edges.items() if seen & bit]) if tip in apart else [tip]
            for tip, bit in self._tips.items()
        }
        bits: Counter[str] = Counter()
        for tip, found in bases.items():
            for base in found:
                bits[base] |= self._tips[tip]
        bound = _octopus(repo, list(bits))
        self._since = _walk(repo, bits, [into, *("^" + base for base in bound)])[0] if bits else []
        line = self._first_parents(into)
        own, since = _counts(self._own), _counts(self._since)
        self.lines = {
            tip: Line(
                ahead=sum(n for seen, n in own.items() if seen & bit),
                behind=sum(n for seen, n in since.items() if not seen & bit),
                base=bases[tip][0] if bases[tip] else None,
                contained=bases[tip] == [tip],
                straight=tip in line,
            )
            for tip, bit in self._tips.items()
        }

    def own(self, tip: str) -> Iterator[Commit]:
        """The commits that a tip has and the default branch lacks, newest first."""
        return (commit for commit in self._own if commit.seen & self._tips[tip])

    def since(self, tip: str) -> Iterator[Commit]:
        """The commits that the default branch has and a tip lacks, newest first."""
        return (commit for commit in self._since if not commit.seen & self._tips[tip])

    def _first_parents(self, into: str) -> set[str]:
        parents = {commit.oid: commit.parents for commit in self._since}
        line = {into}
        while above := parents.get(into):
            into = above[0]
            line.add(into)
        return line


def _walk(repo: Repository, bits: Mapping[str, int], revisions: list[str]) -> tuple[list[Commit], dict[str, int]]:
    """The commits of a range with what reaches each, newest first; and those just outside of it."""
    walk = repo.ask("rev-list", "--parents", "--topo-order", "--boundary", *revisions, "--")
    seen = Counter(bits)
    inside, edges = [], []
    for row in walk.output().splitlines():
        oid, *parents = row.split()
        if oid.startswith("-"):
            edges.append(oid[1:])
            continue
        inside.append(Commit(oid, parents, seen[oid]))
        for parent in parents:
            seen[parent] |= seen[oid]
    return inside, {oid: seen[oid] for oid in edges}


def _bases(repo: Repository, tip: str, into: str, edges: list[str]) -> list[str]:
    """The merge bases, best first; only a branch that took the default branch in again has to ask for them."""
    if len(edges) < 2:
        return edges
    return repo.ask("merge-base", "--all", into, tip).output(empty=1).split()


def _octopus(repo: Repository, commits: list[str]) -> list[str]:
    """A commit that all of these come from."""
    if len(commits) < 2:
        return commits
    return repo.ask("merge-base", "--octopus", *commits).output(empty=1).split()[:1]


def _counts(commits: list[Commit]) -> Counter[int]:
    return Counter(commit.seen for commit in commits)
