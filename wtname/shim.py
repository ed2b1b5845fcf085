"""The text of the git hook: a script for sh that decides on nearly every commit, without Python, that there is nothing
to do, and that lets the commit go on whatever becomes of wtname."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from wtname import generic, random_words

MARK = "# This hook is wtname's"
LIMIT = 0.3  # seconds that a commit waits for a name
TIMES = 3  # commits on a branch that are told of a better name
TOLD = "wtname-told"  # in a worktree's git folder: how often, and of which branch
BEFORE = "prepare-commit-msg.before-wtname"
# In a worktree's git folder while git is at something else than a commit of its own.
OPERATIONS = (
    "MERGE_MSG",
    "MERGE_HEAD",
    "SQUASH_MSG",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    "BISECT_LOG",
)

_SCRIPT = """\
#!/bin/sh
@MARK@: it suggests a name for a branch that has none of its own, and never stops a commit.
# Off: git config wtname.hook false. Away: wtname hook uninstall.

before=${0%/*}/@BEFORE@
if [ -x "$before" ]; then
    "$before" "$@" || exit
fi

# A commit of its own: no merge, no amend, no rebase.
case ${2-} in '' | message | template) ;; *) exit 0 ;; esac
[ -z "${3-}" ] || exit 0
dir=${GIT_DIR:-.git}
[ -d "$dir" ] || dir=$(git rev-parse --git-dir 2>/dev/null) || exit 0
for operation in @OPERATIONS@; do
    [ ! -e "$dir/$operation" ] || exit 0
done

@IS_GENERIC@
head=
{ read -r head <"$dir/HEAD"; } 2>/dev/null
[ "$head" != 'ref: refs/heads/.invalid' ] || head="ref: $(git symbolic-ref --quiet HEAD 2>/dev/null)"
case $head in
'ref: refs/heads/'*)
    branch=${head#ref: refs/heads/}
    is_generic "$branch" || exit 0
    ;;
*) branch=HEAD ;;
esac
times= told=
{ read -r times told <"$dir/@TOLD@"; } 2>/dev/null
[ "$times $told" != "@TIMES@ $branch" ] || exit 0

@FIND@
said=$(
    exec 3>&1 2>/dev/null
    @RUN@ "$@" </dev/null >&3 2>&3 3>&- &
    naming=$!
    {
        sleeping=
        trap 'kill $sleeping; exit' TERM
        sleep "${WTNAME_DEADLINE:-@LIMIT@}" & sleeping=$!
        wait "$sleeping" || sleep 1
        kill -ALRM "$naming"
    } </dev/null >/dev/null 3>&- &
    watching=$!
    wait "$naming"
    code=$?
    kill "$watching"
    exit "$code"
) || exit 0
case $said in 'wtname: '*) printf '%s\\n' "$said" >&2 ;; esac
exit 0
"""

_PYTHON = """\
python=@PYTHON@
[ -x "$python" ] || exit 0"""
# Not by way of wtname's command line, which takes 30 ms more; and without the current folder, a stranger's perhaps.
_MAIN = (
    "import sys; sys.path = [path for path in sys.path if path]; from wtname.hinting import main; main(sys.argv[1:])"
)
_WTNAME = """\
wtname=$(command -v wtname) || exit 0
case $wtname in /* | [A-Za-z]:*) ;; *) exit 0 ;; esac"""

# Whether generic.is_generic may say yes: what is asked here must never be narrower.
_IS_GENERIC = """\
is_generic() {
    name=${1##*/}
    case $1 in
    @AGENTS@) case $name in *[-_]*[0-9]*[A-Z]* | *[-_]*[0-9]*[a-zA-Z]*[0-9]*) return 0 ;; esac ;;
    esac
    case $name in
    @PLACEHOLDERS@) return 0 ;;
    *patch[-_][0-9]*) return 0 ;;
    *[-_]*[-_]*) ;;
    *[-_]????????) case $name in *[0-9]*[a-z]*[0-9]*) return 0 ;; esac ;;
    esac
    word=${name%[0-9]} word=${word%[0-9]} word=${word%[0-9]}
    [ "$word" = "$name" ] || case ${word%[-_]} in @NUMBERED@) return 0 ;; esac
    machine=
    while :; do
        case $name in
        @MACHINES@) machine=x name=${name#*[-_]} ;;
        *) break ;;
        esac
    done
    case $name in
    *[!0-9a-f_-]*) ;;
    ??????*) case $machine$name in x*[0-9]* | *[0-9]*[a-f]*[0-9]*) return 0 ;; esac ;;
    esac
    if [ "$machine" ]; then
        case $name in *[!0-9a-z]*) ;; *[0-9]*[a-z]*[0-9]*) return 0 ;; esac
    fi
    word=${name%%[-_]*} name=${name#*[-_]}
    case $word in @ADJECTIVES@) return 0 ;; esac
    case $name in
    *[-_]*) case ${name%%[-_]*} in @CLAUDES_DOING@) case $word in @CLAUDES_LIKE@) return 0 ;; esac ;; esac ;;
    esac
    return 1
}
"""


def is_generic_in_sh() -> str:
    """The function that the hook asks before it starts Python."""
    return _fill(
        _IS_GENERIC,
        AGENTS=_any(f"{word}/*" for word in generic.AGENTS),
        PLACEHOLDERS=_any(generic.PLACEHOLDERS),
        NUMBERED=_any(generic.NUMBERED | generic.PLACEHOLDERS),
        MACHINES=_any(f"{word}-?*" for word in generic.MACHINES),
        ADJECTIVES=_any(random_words.ADJECTIVES),
        CLAUDES_DOING=_any(random_words.CLAUDES_DOING),
        CLAUDES_LIKE=_any(random_words.CLAUDES_LIKE - random_words.ADJECTIVES),
    )


def script(python: str = "") -> str:
    """The hook. `python`: the path of the interpreter that has wtname; without one the program wtname is looked for on
    PATH when the hook runs."""
    filled = _fill(
        _SCRIPT,
        IS_GENERIC=is_generic_in_sh(),
        MARK=MARK,
        BEFORE=BEFORE,
        OPERATIONS=" ".join(OPERATIONS),
        TOLD=TOLD,
        TIMES=str(TIMES),
        LIMIT=str(LIMIT),
        FIND=_PYTHON.replace("@PYTHON@", shlex.quote(python)) if python else _WTNAME,
        RUN=f'"$python" -c {shlex.quote(_MAIN)}' if python else '"$wtname" hook prepare-commit-msg',
    )
    return _signed(filled)


def is_untouched(text: str) -> bool:
    """Whether a hook is as some version of ours wrote it."""
    return _signed(re.sub(r"^# crc32: .*\n", "", text, count=1, flags=re.M)) == text


def _signed(text: str) -> str:
    import zlib

    first, _, rest = text.partition("\n")
    return f"{first}\n# crc32: {zlib.crc32(text.encode('utf-8', 'surrogateescape')):08x}\n{rest}"


def _any(patterns: Iterable[str]) -> str:
    return " | ".join(pattern.replace("-", "[-_]") for pattern in sorted(patterns))


def _fill(text: str, **fields: str) -> str:
    for key, value in fields.items():
        text = text.replace(f"@{key}@", value)
    return text
