from __future__ import annotations

import itertools
import random
import shutil
import subprocess

import pytest

from wtname import generic, random_words, shim
from wtname.generic import is_generic
from wtname.namer import random_branch

GENERIC = [
    # ours
    "wt-3f9a1c2d",
    "wt-12345678",
    # Claude Code: -w without a name, plans, subagents, the web
    "worktree-swift-fox-k3d9",
    "worktree-calm-owl-quxz",
    "worktree-happy-dancing-otter",
    "worktree-nifty-dancing-star",
    "worktree-async-knitting-kernighan",
    "worktree-lazy_mapping_teapot-k3d9",
    "wt-zazzy-coalescing-lovelace",
    "wt-zazzy-coalescing-lovelace-2",
    "agent-memoized-hopping-quill-quxz",
    "cached-finding-hoare",
    "worktree-agent-a1b2c3d4",
    "agent-a3f1c09b",
    "claude/fix-login-01KYxPqr7",
    "claude/session-011CUgh3vWqJ",
    # Zed, opencode, worktrunk, Codespaces and others
    "olivetti-a3f9b2c1",
    "opencode/brave-falcon",
    "opencode/misty-comet",
    "bright-running-fox",
    "bright-wandering-fox",
    "swift-otter-2",
    "ada/clever-panda",
    "grumpy_cat",
    "codespace-fluffy-waffle-x5v4",
    # ids
    "codex/3f9a1c2d",
    "cursor/0b7b5f3e-8d2c-4a5e-9f10-2c3d4e5f6a7b",
    "0b7b5f3e-8d2c-4a5e-9f10-2c3d4e5f6a7b",
    "3f9a1c2d77",
    "session-20261127-101500",
    "task-1795750011",
    "cursor/fix-login-7f3a",
    # GitHub, GitLab
    "patch-1",
    "ada-patch-12",
    "main-patch-04711",
    # placeholders
    "temp",
    "tmp2",
    "ada/wip",
    "WIP",
    "test1",
    "test-2",
    "new-branch",
    "my_branch",
    "branch-3",
    "foo",
    "feature-branch",
]
CHOSEN = [
    "main",
    "master",
    "develop",
    "dev",
    "test",
    "staging",
    "gh-pages",
    "wt-fix-login",
    "wt-feat-dark-mode-toggle",
    "wt-fix-a11y",
    "wt-deadbeat",
    "fix-login",
    "feature/dark-mode",
    "happy-path",
    "quick-fix",
    "silent-fail",
    "golden-tests",
    "swift-package",
    "bright-theme",
    "release/2.0",
    "release/brave-falcon",
    "london",
    "customer/berlin",
    "crab-fix",
    "async-mapping-layer",
    "worktree-async-mapping-layer",
    "wt-async-mapping-layer-quxz",
    "lazy-loading-book",
    "dynamic-routing-key",
    "parallel-running-shells",
    "add-running-widget",
    "mapping-token",
    "async-mapping-token-new-ui",
    "dark-mode-toggle",
    "smart-cookie",
    "quick-engine",
    "v2",
    "1.x",
    "2024-01-15",
    "20240115",
    "123",
    "1234-login",
    "PROJ-123",
    "PROJ-123-fix-login",
    "fix-123",
    "issue-1234",
    "feature-42",
    "remove-v1alpha2",
    "upgrade-python310",
    "ed25519",
    "dec2024",
    "claude/fix-utf8",
    "claude/fix-i18n",
    "copilot/upgrade-node20",
    "cursor/support-64bit",
    "codex/fix-OAuth2",
    "utf8mb4",
    "add-base64url",
    "fix-utf8mb40",
    "worktree-fix-login",
    "agent-mode",
    "session-timeout",
    "task-queue",
    "codex/fix-login-redirect",
    "claude/fix-login",
    "opencode/dark-mode",
    "cursor/retry-webhooks",
    "dependabot/npm_and_yarn/lodash-4.17.21",
    "renovate/node-20.x",
    "ada/fix-login",
    "wip/login",
    "temp-files",
    "test-runner",
    "new-branch-protection",
    "patch-panel",
    "berlin-timezone",
    "decade",
    "facade",
    "worktree-",
    "-",
    "/",
    "",
    "é",
]


CLAUDES = (random_words.CLAUDES_LIKE, random_words.CLAUDES_DOING, random_words.CLAUDES_THINGS)
# Words of these are Claude Code's, too.
OF_WORK = [
    "async-token",
    "async-done-stream",
    "async-stream-mapping",
    "wt-async-new-mapping-token",
    "lazy-loading-images",
    "lazy_mapping",
    "generic-widget",
    "long-running-jobs",
    "path-finding-api",
    "fix-mapping-token",
    "field_mapping_ui",
]


def test_generic() -> None:
    assert [branch for branch in GENERIC if not is_generic(branch)] == []


def test_chosen() -> None:
    assert [branch for branch in CHOSEN + OF_WORK if is_generic(branch)] == []


def test_random_branches_of_ours() -> None:
    # Eight letters may be a word; eight digits are none.
    assert all(is_generic(name) for name in (random_branch() for _ in range(300)) if not name[3:].isalpha())


@pytest.mark.parametrize(
    "form", ["{}", "worktree-{}", "wt-{}", "ada/{}", "{}-2", "worktree-{}-k3d9", "worktree-{}-quxz"]
)
def test_random_names_of_claude_code(form: str) -> None:
    assert [name for name in claudes() if not is_generic(form.format(name))] == []


def claudes() -> list[str]:
    """Names that Claude Code may make: each of its words beside words that only it uses, and some drawn."""
    likes, doings, things = map(sorted, CLAUDES)
    drawn = random.Random(7)
    return [
        *(f"{like}-hopping-teapot" for like in likes),
        *(f"async-{doing}-teapot" for doing in doings),
        *(f"async-hopping-{thing}" for thing in things),
        *("-".join(map(drawn.choice, (likes, doings, things))) for _ in range(1000)),
    ]


def made() -> list[str]:
    """Names of each form that is_generic says yes to, with every word of its lists."""
    names = [f"{a}-falcon" for a in random_words.ADJECTIVES] + [f"{machine}-1a2b3c4d" for machine in generic.MACHINES]
    names += [f"{one}-{two}-3f9a1c" for one, two in itertools.product(sorted(generic.MACHINES)[:4], repeat=2)]
    names += [f"{machine}_bold-owl-q1" for machine in generic.MACHINES] + [f"{a}/x-y-0q1z" for a in generic.AGENTS]
    names += [f"bold-{noun}" for noun in random_words.NOUNS]
    names += [form.format(name) for name in claudes() for form in ("{}", "worktree-{}", "u/wt_{}-k3d9")]
    names += [f"u/{word}{n}" for word in generic.PLACEHOLDERS for n in ("", "7", "-17", "_117")]
    names += [f"{word}{n}" for word in generic.NUMBERED for n in ("7", "-17", "_117")]
    names += ["job-1a2b3c4dz", "run_20261127_1015", "thread-12345678", "claude-abc123", "zz-1a2b3c4d", "zz_a1b2c3d4"]
    return [*GENERIC, *names]


@pytest.mark.parametrize("sh", ["sh", "bash", "zsh"])
def test_the_hook_asks_for_no_less(sh: str) -> None:
    if not shutil.which(sh):
        pytest.skip(f"{sh} is not installed")
    names = made()
    assert [name for name in names if not is_generic(name)] == []
    asked = shim.is_generic_in_sh() + 'while read -r line; do is_generic "$line" && printf "%s\\n" "$line"; done; :\n'
    done = subprocess.run(
        [sh, "-c", asked], input="\n".join([*names, *CHOSEN, *OF_WORK, ""]), capture_output=True, text=True
    )
    said = done.stdout.splitlines()
    assert done.stderr == "" and said[: len(names)] == names
    # The names that it lets through in vain cost time: they are few, and with words of work hardly any.
    assert [name for name in OF_WORK if name in said] == []
    assert len(said) - len(names) <= len(CHOSEN) // 4, said[len(names) :]
