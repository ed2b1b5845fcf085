"""Which names of branches tell how people call theirs, and what those names have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from wtname.git.history import Commit
from wtname.shapes import TYPE_OF, Known
from wtname.template import is_legal

MAJORITY = 0.6  # what so many of the names have in common is a convention,
LEAST = 5  # of so many names at least
_FREQUENT = 0.1  # a prefix that so many of the names have, and three at least, is no accident
_PLAIN = re.compile(r"[\w.+-]+")  # what may become part of a setting

_IGNORED = re.compile(
    r"""(?: HEAD | main | master | develop(?:ment)? | dev | trunk | next | stable | default | edge | nightly | canary |
        latest | staging | stage | prod(?:uction)? | qa | uat | releases? | gh-pages | pages
      | (?:releases?|env)/.* | (?:releases?|rel|version)[-_]v?\d.* | (?:stable|maint|support)[-/_]v?\d[\w.]*
      | v?\d+(?:\.(?:\d+|x))*(?:[-_.](?:x|stable|dev|rc\d*|lts|maint|maintenance|release|fixes))*
      # robots
      | (?:copilot|claude|codex|cursor|devin|jules|vk|bors|mergify|bot|l10n|crowdin|weblate|worktree)/.*
      | github-actions(?:/.*)? | pre-commit-ci(?:-update-config)?
      | (?:dependabot|renovate|greenkeeper|snyk|imgbot|whitesource|release-please|changeset-release|
          all-?contributors|gh-readonly-queue|depfu|pyup|scala-steward)(?:[-/_.].*)?
      | revert-\d+-.* | cherry-pick-[0-9a-f]{7,}.* | backport[-/]\S*\d.*
      # names that a tool threw dice for
      | (?:.*-)?patch-\d+ | (?:[a-z]+[-/])?(?=[a-f]*\d)[0-9a-f]{7,40} | (?:.*[-/])?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-\S*
      | worktree-.* | (?:%s)-[a-z]+ing-[a-z]+(?:-[0-9A-Za-z]{4,8})?
    )\Z"""
    % "|".join(
        """abstract adaptive agile ancient atomic binary bright bubbly calm cheerful clever composed cosmic cozy
        crispy cryptic curious dapper dazzling delightful deep dreamy drifting dynamic eager elegant enchanted eventual
        fancy federated fizzy floating floofy fluffy fluttering functional fuzzy gentle giggly gleaming glimmering
        glistening glittery glowing golden goofy graceful greedy groovy happy harmonic hazy hidden humble humming
        immutable indexed iridescent jaunty jazzy jiggly jolly joyful keen kind lazy lexical linear lively logical
        lovely lucky luminous magical majestic melodic mellow merry mighty misty modular moonlit mossy mutable nested
        nifty noble optimized parallel peaceful peppy playful polished precious proud pure purring quiet quirky radiant
        reactive recursive resilient rippling robust rosy scalable serene sharded shimmering shimmying shiny silly
        sleepy smooth snappy snazzy snoopy snug soft sorted spicy splendid sparkling sprightly squishy starry steady
        stateful stateless streamed structured sunny swift synchronous synthetic temporal tender tidy tingly toasty
        tranquil transient twinkling twinkly typed unified validated valiant vast vectorized velvet velvety virtual
        vivid warm whimsical wiggly wild wise witty wobbly wondrous zany zazzy zesty zippy""".split()
    ),
    re.X,
)
_MERGE = re.compile(
    r"Merge pull request #\d+ from [^/\s]+/(?P<pull>\S+)"
    r"|Merge (?P<remote>remote(?:-tracking)? )?branch(?:es)? (?P<quoted>'.*)"
    r"|Merged in (?P<bitbucket>\S+) \(pull request #\d+\)"
    r"|Auto merge of #\d+ - (?P<queue>[^:\s]+:[^,\s]+)"
)
_OWNER = re.compile(r"Merge pull request #\d+ from ([^/\s]+)/|Auto merge of #\d+ - ([^:\s]+):")
_INTO = re.compile(r" into ([^\s']+)\Z")


def merged(subject: str) -> list[str]:
    """The branches that a merge commit's subject names."""
    match = _MERGE.match(subject)
    if not match:
        return []
    if name := match["pull"] or match["bitbucket"] or (match["queue"] or "").partition(":")[2]:
        return [name]
    names = re.findall(r"'([^']+)'", match["quoted"] or "")
    if match["remote"]:
        names = [name.partition("/")[2] or name for name in names]
    into = _INTO.search(subject)
    return [*names, *([into[1]] if into else [])]


def names(branches: Iterable[str], commits: Iterable[Commit]) -> tuple[list[str], int]:
    """The names that people chose for branches there are and were, each once; and how many others there are: of
    branches that live long, of robots, of tools that throw dice."""
    seen = dict.fromkeys([*branches, *(name for commit in commits for name in merged(commit.subject))])
    legal = [name for name in seen if is_legal(name) and len(name) <= 200]
    chosen = [name for name in legal if not _IGNORED.match(name)]
    return chosen, len(legal) - len(chosen)


def known(names: list[str], commits: list[Commit], user: str = "") -> Known:
    """What the names and the authors of the commits tell about their parts. `user` is the user's own prefix."""
    users = {user} if user else set()
    for author, email in {(commit.author, commit.email) for commit in commits}:
        users |= handles(author, email)
    for commit in commits:
        if owner := _OWNER.match(commit.subject):
            users.add((owner[1] or owner[2]).lower())
    users = {handle for handle in users - TYPE_OF.keys() if _PLAIN.fullmatch(handle)}
    heads = Counter(name.partition("/")[0].lower() for name in names if "/" in name)
    leads = Counter(re.split("[-_]", name)[0].lower() for name in names if "/" not in name and re.search("[-_]", name))
    prefixes = {head for head, count in heads.items() if count >= max(3, _FREQUENT * len(names))}
    prefixes |= {lead for lead, count in leads.items() if count >= max(LEAST, MAJORITY * len(names))}
    numbers: dict[str, set[str]] = {}
    for name in names:
        if match := re.match(r"(?:.*/)?([a-z][a-z0-9]{1,9})-(\d{1,6})(?=[-_]|\Z)", name):
            numbers.setdefault(match[1], set()).add(match[2])
    keys = {key for key, found in numbers.items() if len(found) >= 3} - TYPE_OF.keys()
    prefixes = {prefix for prefix in prefixes - users - TYPE_OF.keys() if _PLAIN.fullmatch(prefix)}
    return Known(frozenset(users), frozenset(prefixes), frozenset(keys))


def handles(name: str, email: str) -> set[str]:
    """What somebody may call his branches by: ada, lovelace, ada-lovelace, alovelace, al."""
    local = re.sub(r"\A\d+\+", "", email.partition("@")[0].lower())
    words = re.findall(r"[^\W_]+", name.lower())
    found = {local, re.sub(r"[._]", "-", local), re.sub(r"[._-]", "", local), *words}
    if len(words) > 1:
        first, last = words[0], words[-1]
        found |= {f"{first}-{last}", f"{first}{last}", f"{first}.{last}", first[0] + last, first + last[0]}
        found.add("".join(word[0] for word in words))
    return {handle for handle in found if len(handle) > 1}


def handles_of(commits: list[Commit], email: str) -> set[str]:
    own = {commit.author for commit in commits if email and commit.email == email}
    return set().union(*(handles(author, email) for author in own), handles("", email))
