"""Split rows into train, val and test so that near-duplicates stay together: pure, and the same for the same rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
SHINGLE = 4


def shingles(text: str, size: int = SHINGLE) -> set[str]:
    """The runs of `size` characters in a text, a space on either side counted in (Broder 1997)."""
    padded = f" {text} "
    return {padded[i : i + size] for i in range(max(1, len(padded) - size + 1))}


def near_pairs(texts: Sequence[str], near: float) -> list[tuple[int, int]]:
    """Places of the texts whose shingles overlap by at least `near` (Jaccard), smaller first.

    MinHash finds the candidates (datasketch, its bands chosen to miss few), and their overlap is then counted exactly.
    """
    from datasketch import MinHash, MinHashLSH

    sets = [shingles(text) for text in texts]
    hashes = MinHash.generator([[s.encode() for s in sorted(one)] for one in sets], num_perm=128, seed=1)
    # No bands are left to choose from close to 1.
    index = MinHashLSH(threshold=min(near, 0.9), num_perm=128, weights=(0.1, 0.9))
    pairs = []
    for i, minhash in enumerate(hashes):
        for j in index.query(minhash):
            if len(sets[i] & sets[j]) >= near * len(sets[i] | sets[j]):
                pairs.append((j, i))
        index.insert(i, minhash)
    return sorted(pairs)


def groups(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The numbers below `count` in groups that the links hold together, each in order, ordered by their first."""
    root = list(range(count))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = i = root[root[i]]
        return i

    for a, b in links:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    together: dict[int, list[int]] = {}
    for i in range(count):
        together.setdefault(find(i), []).append(i)
    return list(together.values())


def split(together: Sequence[Sequence[int]], kinds: Sequence[str], seed: int) -> dict[str, list[int]]:
    """Places by split, each group whole, the shares of `SHARES` kept as well as they can be for every kind.

    `kinds` gives the kind of each place; a group counts as what its first is. Places are shuffled within a split.
    """
    rng = random.Random(seed)
    order = sorted(together)
    rng.shuffle(order)
    order.sort(key=len, reverse=True)  # stable: the large ones find room while there is some
    wanted = Counter(kinds)
    have = {name: Counter() for name in SHARES}  # type: dict[str, Counter[str]]
    out: dict[str, list[int]] = {name: [] for name in SHARES}
    for group in order:
        kind = kinds[group[0]]
        name = max(SHARES, key=lambda s: SHARES[s] - have[s][kind] / wanted[kind])
        have[name][kind] += len(group)
        out[name] += group
    for places in out.values():
        rng.shuffle(places)
    return out
