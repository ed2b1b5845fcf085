"""What a shell reads at its start: the functions that create, switch and remove, and the completion, as static text."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from wtname.errors import WtnameError

# The text of each shell, in files beside this one.
FILES = {
    "bash": ("functions.sh", "completion.bash"),
    "zsh": ("functions.sh", "completion.zsh"),
    "fish": ("wtname.fish",),
    "powershell": ("wtname.ps1",),
}
_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# A function of that name would stand in the way of the shell itself, or of ours.
_RESERVED = set(
    "alias and begin bg break builtin case cd command compadd compdef compgen complete compopt continue coproc do done"
    " echo elif else end env esac eval exec exit export false fg fi for foreach function functions git if in jobs kill"
    " local not or printf pwd python read return select set setopt shift source string switch test then time trap true"
    " type typeset unalias unset until wait wtname while".split()
)


class Names(NamedTuple):
    """What the functions are called; the defaults are those in the files."""

    new: str = "wtn"
    switch: str = "wts"
    remove: str = "wtrm"


def text(shell: str, names: Names) -> str:
    """The text for a shell. Raises WtnameError where two functions would have one name."""
    if len({name.casefold() for name in names}) < len(names):
        raise WtnameError(f"the names {', '.join(names)} are not different; give each function its own", 2)
    called = dict(zip(Names(), names, strict=True))
    parts = []
    for file in FILES[shell]:
        with open(os.path.join(os.path.dirname(__file__), file), encoding="utf-8", newline="\n") as source:
            parts.append(source.read())
    return re.sub(rf"\b({'|'.join(called)})\b", lambda found: called[found[1]], "".join(parts))


def is_name(name: str) -> bool:
    """Whether a function may be called so in every shell."""
    return bool(_LEGAL.fullmatch(name)) and name.casefold() not in _RESERVED and not name.startswith("_wtname")
