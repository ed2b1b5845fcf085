"""Whether what a branch changes has arrived although its commits have not: squashed, rebased or picked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from wtname.git.ancestry import Ancestry
from wtname.git.process import Running
from wtname.git.repository import Repository

_DEPTH = 1000  # commits of the default branch that are looked at
_OWN = 100  # commits of a branch that may have been picked one by one
_ALIKE = 200  # commits whose text is compared
_LINE = 20_000  # characters of paths that go on a command line
_OID = rb"[0-9a-f]{40}|[0-9a-f]{64}"

# Modes and blobs, before and after, of each path that a patch changes. A patch is asked for as diff-tree wants it:
# "COMMIT" for what it changes, "COMMIT OTHER" for what differs from another commit.
Change = dict[str, str]


def arrived(repo: Repository, ancestry: Ancestry, tips: Iterable[str], into: str) -> set[str]:
    """The tips all of whose changes the default branch has. Trees tell it mostly, which is quick; text is compared
    only with commits that change the same files. A tip that changes nothing in the end is not among them."""
    wholes = {tip: f"{tip} {ancestry.lines[tip].base}" for tip in tips if ancestry.lines[tip].base}
    changes = _changes(repo, wholes.values())
    wholes = {tip: whole for tip, whole in wholes.items() if changes[whole]}
    found = _same_in_the_end(repo, {tip: changes[whole].keys() for tip, whole in wholes.items()}, into)
    left = wholes.keys() - found
    since = {tip: [commit.oid for commit in islice(ancestry.since(tip), _DEPTH)] for tip in left}
    singles = {tip: _singles(ancestry, tip) for tip in left}
    changes |= _changes(repo, {oid for oids in (*since.values(), *singles.values()) for oid in oids})
    ways = {tip: [[wholes[tip]], [oid for oid in singles[tip] if changes[oid]]] for tip in left}

    for tip in left:
        pool = {_frozen(changes[oid]) for oid in since[tip]}
        if any(way and all(_frozen(changes[patch]) in pool for patch in way) for way in ways[tip]):
            found.add(tip)

    alike: dict[tuple[str, str], list[str]] = {}
    for tip in left - found:
        for patch in {patch for way in ways[tip] for patch in way}:
            paths = changes[patch].keys()
            alike[tip, patch] = [oid for oid in since[tip] if changes[oid].keys() == paths]
    asked = dict.fromkeys(one for (_, patch), oids in alike.items() if oids for one in (patch, *oids))
    if not asked or len(asked) > _ALIKE or _is_partial(repo):
        return found
    texts = dict(zip(asked, _texts(repo, asked), strict=True))
    for tip in left - found:
        if any(
            way and all(any(texts[patch] == texts[oid] for oid in alike[tip, patch]) for patch in way)
            for way in ways[tip]
        ):
            found.add(tip)
    return found


def _singles(ancestry: Ancestry, tip: str) -> list[str]:
    """The commits of a branch, if they are few and none is a merge, which may hold changes of its own."""
    if ancestry.lines[tip].ahead > _OWN:
        return []
    own = list(ancestry.own(tip))
    return [] if any(len(commit.parents) > 1 for commit in own) else [commit.oid for commit in own]


def _same_in_the_end(repo: Repository, paths: dict[str, Iterable[str]], into: str) -> set[str]:
    """The tips whose every changed path is on the default branch as they left it."""
    union = {path for changed in paths.values() for path in changed}
    limit = ["--", *sorted(union)] if sum(len(path) + 1 for path in union) < _LINE else []
    differing = _changes(repo, [f"{tip} {into}" for tip in paths], *limit)
    return {tip for tip, changed in paths.items() if differing[f"{tip} {into}"].keys().isdisjoint(changed)}


def _frozen(change: Change) -> frozenset[tuple[str, str]]:
    return frozenset(change.items())


def _changes(repo: Repository, patches: Iterable[str], *limit: str) -> dict[str, Change]:
    """What each patch changes, from trees alone."""
    patches = list(patches)
    found: list[Change] = []
    entries = iter(_diff_tree(repo, patches, "--raw", "-z", *limit).split(b"\0"))
    for entry in entries:
        if entry.startswith(b":"):
            found[-1][os.fsdecode(next(entries))] = os.fsdecode(entry)
        elif entry:
            found.append({})
    return dict(zip(patches, found, strict=True))


def _texts(repo: Repository, patches: Iterable[str]) -> Iterator[bytes]:
    """Each patch as text, in order, without what moves when lines above it do."""
    output = _diff_tree(repo, patches, "--patch", "--full-index", "--no-ext-diff", "--no-textconv")
    for text in re.split(rb"^(?:%s)\n" % _OID, output, flags=re.M)[1:]:
        text = re.sub(rb"^@@ .*", b"@@", text, flags=re.M)
        # Of a binary file, only the index line tells what it holds.
        yield text if b"\nBinary files " in text else re.sub(rb"^index .*\n", b"", text, flags=re.M)


def _diff_tree(repo: Repository, patches: Iterable[str], *how: str) -> bytes:
    lines = "".join(patch + "\n" for patch in patches).encode()
    if not lines:
        return b""
    where = (f"--git-dir={repo.common_dir}", "--literal-pathspecs")
    what = ("diff-tree", "--stdin", "-r", "--root", "--always", "--no-renames")
    # Not where the user stands: from a folder, git would take paths to be below it.
    return Running(*where, *what, *how, cwd=repo.common_dir, env=repo.environment, given=lines).read()


def _is_partial(repo: Repository) -> bool:
    """Whether files may be missing that git would fetch one by one, over the network, to compare them."""
    return bool(repo.ask("config", "--get-regexp", r"^remote\..*\.promisor$").output(empty=1))
