"""What commit messages tell, pure: the title and the branch of what was merged, and the paragraph below a subject."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from wtname import naming
from wtname.words import plain

# A title, and the body of a commit, is asked about several times in a row.
clean = functools.lru_cache(maxsize=8)(naming.clean)


class Merge(NamedTuple):
    """A change that was merged: its title, and the branch it came from, who owned that and where it went, if told."""

    title: str
    branch: str = ""
    owner: str = ""
    target: str = ""


MAX_LINE = 1_000  # of a title, so that no pattern takes long
_NUMBER = r"(?:[\w.-]+/[\w.-]+)?[#!]\d+"
# Subjects that hold the title themselves.
_TITLED = re.compile(
    rf"""(?:
        Merge\ pull\ request\ '(?P<gitea>.+)'\ \({_NUMBER}\)\ from\ (?P<branch>\S+)\ into\ (?P<target>\S+)
      | Merged\ PR\ \d+:\ (?P<azure>.+)
      | Merge\ "(?P<gerrit>.+)"(?:\ into\ (?P<gerrit_target>\S+))?
      | Merge\ {_NUMBER}:\ (?P<script>.+)
      | Merge\ {_NUMBER}\ `(?P<pagure>.+)`
    )\Z""",
    re.X,
)
# Subjects whose body begins with the title.
_UNTITLED = re.compile(
    rf"""(?:
        Merge\ pull\ request\ {_NUMBER}\ from\ (?P<owner>[^/\s]+)/(?P<github>\S+)(?:\ into\ (?P<github_target>\S+))?
      | Merge\ pull\ request\ \#?\d+\ from\ (?P<azure>\S+)\ into\ (?P<azure_target>\S+)
      | Merge\ pull\ request\ {_NUMBER}\ in\ \S+\ from\ (?P<server>\S+)\ to\ (?P<server_target>\S+)
      | (?:Auto|Rollup)\ merge\ of\ {_NUMBER}\ -\ (?P<author>[^\s:]+):(?P<homu>\S+),\ r=.*
      | Merged\ in\ (?P<cloud>\S+)\ \(pull\ request\ \#\d+\)
      | Merge\ (?:remote-tracking\ )?branch\ '(?P<git>[^']+)'(?:\ of\ \S+)?(?:\ into\ '?(?P<git_target>[^'\s]+)'?)?
    )\Z""",
    re.X,
)
_SERVER = re.compile(r"Pull request #\d+: (?P<title>.+)\Z")
_SERVER_BODY = re.compile(r"Merge in \S+ from (?P<branch>\S+) to (?P<target>\S+)\Z")
_BATCH = re.compile(r"(?:Merge|Try) #\d+(?: #\d+)*\Z")
_BATCHED = re.compile(r"^\d+: (?P<title>.+?)(?: r=\S+)?(?: a=\S+)?$", re.M)
_SQUASH = re.compile(r"(?P<title>.*\S)\s*\((?:pull request )?[#!]\d+\)\Z")
# First lines of a merge's body that are no title: what git, forges and queues write there.
_NO_TITLE = re.compile(
    r"(?:#\s*)?Conflicts:|[*#]\s|See merge request|(?:Closes|Fixes|Related to) [#!]\d|\S+-by:|Rollup of \d|"
    r"Merge (?:branch|pull request|remote-tracking)\b",
    re.I,
)
_QUEUE = re.compile(r"Automatic merge from submit-queue")
_RESOLVE = re.compile(r'Resolve "(.+)"\Z')


def _title(body: list[str]) -> str:
    """The title at the head of a merge's body, put together again where the forge broke it at a …; "" if none."""
    lines = [line for line in body if line and not _QUEUE.match(line)]
    if not lines or _NO_TITLE.match(lines[0]):
        return ""
    title = lines[0]
    if title.endswith("…") and len(lines) > 1 and lines[1].startswith("…"):
        title = title[:-1] + lines[1][1:]
    return title


def _group(found: re.Match[str], *names: str) -> str:
    return next((found[name] for name in names if found[name]), "")


def parse(message: str) -> list[Merge]:
    """The merges that a commit message tells of, in the words of GitHub, GitLab, Gitea, Bitbucket, Azure DevOps,
    Gerrit, Pagure, bors and homu; several from a batch of bors's, none from the message of an ordinary commit."""
    subject, *body = [line.strip()[:MAX_LINE] for line in message.strip().split("\n")]
    if found := _UNTITLED.match(subject):
        branch = _group(found, "github", "azure", "server", "homu", "cloud", "git")
        if subject.startswith("Merge remote-tracking"):
            branch = branch.partition("/")[2] or branch
        title, owner = _title(body), _group(found, "owner", "author")
        target = _group(found, "github_target", "azure_target", "server_target", "git_target")
        merges = [Merge(title, branch, owner, target)]
    elif found := _TITLED.match(subject):
        title = _group(found, "gitea", "azure", "gerrit", "script", "pagure")
        merges = [Merge(title, _group(found, "branch"), "", _group(found, "target", "gerrit_target"))]
    elif _BATCH.match(subject):
        merges = [Merge(title) for title in _BATCHED.findall("\n".join(body))] or [Merge(_title(body))]
    elif found := _SERVER.match(subject):
        told = next(filter(None, map(_SERVER_BODY.match, body)), None)
        merges = [Merge(found["title"], told["branch"], "", told["target"]) if told else Merge(found["title"])]
    elif found := _SQUASH.match(subject):
        merges = [Merge(found["title"])]
    else:
        return []
    return [merge._replace(title=_RESOLVE.sub(r"\1", merge.title)) for merge in merges]


_TRAILER = re.compile(
    r"(?:[A-Za-z][\w-]*-(?:by|id|to|url|with|bug|issue|task)|cc|link|git-svn-id|reviewers|reviewed by|"
    r"differential revision|test plan)\s*:.*\Z|\(?(?:cherry.picked|back-?ported|picked) from .*|"
    r"(?:fix(?:es)?|close[sd]?|resolves?|refs?|bugs?|issues?|see|related(?: to)?|part of)[:\s]*"
    r"(?:[\w./-]*#\d+|https?://\S+|[A-Z][A-Z0-9]+-\d+)[\s,.]*\Z|This reverts commit [0-9a-f]+.*|-{3,}\Z",
    re.I,
)
_CONFLICTS = re.compile(r"[*#\s]*Conflicts:", re.I)
MAX_BODY = 4_000


def body_of(message: str) -> str:
    """The paragraphs of a commit message below its subject, without trailers, pick notes, git-svn ids and lists of
    conflicts, at most MAX_BODY characters of whole lines; "" where they hold fewer than six words."""
    kept: list[str] = []
    size = 0
    conflicts = False
    for line in message.strip().split("\n")[1:]:
        line = line.rstrip()
        conflicts = bool(_CONFLICTS.match(line)) or (conflicts and bool(line.strip()))
        size += len(line) + 1
        if size > MAX_BODY:
            break
        if not conflicts and not _TRAILER.match(line.strip()):
            kept.append(line)
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return body if len(clean(body).words) >= 6 else ""


# --- whose work, and what for ----------------------------------------------------------------------------------------

# Robots that write changes; what those that only merge (bors, mergify) bring in is people's work.
_WRITERS = (
    "dependabot|renovate|greenkeeper|github-?actions?|gh-actions?|pre-commit-ci|snyk|pyup|depfu|imgbot|weblate|crowdin|"
    "transifex|all-?contributors|scala-steward|whitesource|deepsource|sourcery-ai|allstar|create-pull-request|"
    "auto-?updates?|updatecli|nixpkgs-update|r-ryantm|restyled|release-please|semantic-release|changeset-release"
)
_WRITER = re.compile(rf"(?:{_WRITERS})\b|.*\[bot\]\Z|(?:.*[-_ ])?(?:ro)?bot\Z", re.I)
_MERGER = re.compile(
    r"(?:bors|homu|mergify|kodiak(?:hq)?|(?:.*[-_ ])?(?:merge|ci|prow|queue)[-_ ](?:ro)?bot)(?:\[bot\]|-servo)?\Z", re.I
)
_BOT_BRANCH = re.compile(
    rf"(?:{_WRITERS}|auto|automated|bot)/.*|(?:dependabot|greenkeeper|release-please|pre-commit-ci|crowdin|weblate)-.*|"
    r"snyk-(?:fix|upgrade)-.*|pyup-(?:update|scheduled)-.*|l10n_.*|imgbot\Z|pre-commit-update.*",
    re.I,
)
_SERIES = r"v?\d+(?:[._-](?:\d+|x))*(?:[._-]?(?:x|rc|alpha|beta|dev|stable|preview|lts)[._-]?\d*)?"
_RELEASE = re.compile(
    rf"(?:releases?|rel|rc|stable|lts|maint|version)[-_/.]?{_SERIES}\Z|(?:releases?|stable|lts)(?:/.*)?\Z|gh-pages\Z|"
    rf"(?:hotfix|support|bump|prep|prepare)[-_/.](?:release|version)?[-_/.]?v?\d+[._]\d.*|"
    rf"{_SERIES}(?:[-_]?(?:branch|stable|release|maintenance|fixes))?\Z",
    re.I,
)
_NO_SERIES = re.compile(r"\d+\Z|\d{4}-\d\d-\d\d\Z")  # a ticket, a date
_BACKPORT = re.compile(
    r"(?:^|[-_/])(?:back-?port(?:s|ed|ing)?|mergify/bp|bp)(?:[-_/]|\Z)|\A\d[\d.]*x[-_/]|"
    r"(?:^|[-_/])cherry-?pick(?:s|ed)?[-_/](?:of[-_/]|#?\d|.*(?:to|onto?|into)[-_]|.*release)",
    re.I,
)
_BACKPORT_TITLE = re.compile(
    r"\W*(?:back-?port|(?:automated |manual )?cherry[- ]?pick(?:ed)? (?:of|#|\w*\d))|"
    r"\[\W*(?:stable|release|v?\d+\.)[\w./ -]*\]|.*\((?:back-?port|cherry[- ]picked) ",
    re.I,
)
_RELEASE_TITLE = re.compile(
    rf"\W*(?:(?:cut|prepare|tag)(?: for)? )?(?:the )?(?:release|version|bump version to) ?{_SERIES}\W*\Z|{_SERIES}\Z",
    re.I,
)
_TRUNK = "(?:main|master|develop|development|dev|trunk|devel|staging|production|upstream|next|canary|default)"
_MERGE_BACK = re.compile(
    rf"(?:[\w.-]+/)?{_TRUNK}\Z|(?:back-?)?merge[-_/](?:.*[-_/])?{_TRUNK}(?:[-_/].*)?\Z|{_TRUNK}[-_](?:in)?to[-_].*|"
    rf"sync[-_/](?:.*[-_/])?{_TRUNK}(?:[-_/].*)?\Z|(?:back-?merge|merge-?back|forward-?port)\b",
    re.I,
)
_ROLLUP = re.compile(r"roll-?up(?:[-_/].*)?\Z", re.I)


def is_bot(*names: str) -> bool:
    """Whether one of these names of people is that of a robot which writes changes."""
    return any(_WRITER.match(name) and not _MERGER.match(name) for name in names)


def is_robot(name: str) -> bool:
    """Whether this is the name of a robot of any kind."""
    return is_bot(name) or bool(_MERGER.match(name))


def _is_series(branch: str) -> bool:
    return bool(_RELEASE.match(branch)) and not _NO_SERIES.match(branch)


def unwanted(merge: Merge) -> str:
    """Why nothing is to be learnt from a merge, in a word; "" where something is."""
    branch, title = merge.branch, merge.title
    if is_bot(merge.owner) or _BOT_BRANCH.match(branch):
        return "bot"
    if _ROLLUP.match(branch):
        return "rollup"
    if _MERGE_BACK.match(branch) or (branch and branch == merge.target):
        return "merge_back"
    if _BACKPORT.search(branch) or _BACKPORT_TITLE.match(title):
        return "backport"
    if _is_series(merge.target):
        return "backport"
    if _is_series(branch) or _RELEASE_TITLE.match(title):
        return "release"
    if not title:
        return "no_title"
    return unlike_task(title)


def unlike_task(title: str) -> str:
    """Why a title or subject names no task that the model could read, in a word; "" where it does."""
    if "\ufffd" in title:
        return "undecodable"
    letters = [c for c in title if c.isalpha()]
    if sum(c.isascii() for c in letters) * 2 < len(letters):
        return "foreign"
    if re.match(r"(?:fixup|squash|amend)!", title):
        return "fixup"
    prompt = clean(title)
    return "" if len({plain(w) for w in prompt.words}) >= 2 and naming.telling(prompt) else "no_task"
