"""docs/json.md names every field that commands print, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from conftest import ROOT, Run, git

DOCUMENTED = {
    title: set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", body, re.M))))
    for title, body in re.findall(
        r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", (ROOT / "docs" / "json.md").read_text("utf-8"), re.M | re.S
    )
}
TASK = "Fix crash on zero-width columns"


def printed(run: Run, *args: str) -> Any:
    done = run(*args, "--json")
    assert done.exit_code == 0 and done.stdout.count("\n") == 1, done.stderr
    return json.loads(done.stdout)


def test_each_field_is_told(run: Run, repo: Path) -> None:
    name = DOCUMENTED["suggest"]
    assert printed(run, "suggest", TASK).keys() == printed(run, "suggest", "-n", "2", TASK)[0].keys() == name
    dry = printed(run, "new", "--dry-run", TASK)
    assert dry.keys() == (name | DOCUMENTED["new"]) - {"copied", "post_create"}
    made, given = printed(run, "new", TASK), printed(run, "new", "--name", "fix-x")
    assert made.keys() == given.keys() == name | DOCUMENTED["new"]
    assert (given["name"], given["type"], given["source"], given["confidence"]) == ("fix-x", "fix", "user", None)
    assert printed(run, "new", "--name", "x")["type"] is None
    assert {frozenset(row) for row in printed(run, "list")} == {frozenset(DOCUMENTED["list"])}
    assert printed(run, "switch", "zero").keys() == DOCUMENTED["switch"]
    for args in (["--name", "fix-y"], ["Add a csv export"]):
        assert printed(run, "rename", "-C", given["path"], *args).keys() == name | DOCUMENTED["rename"]
    (Path(given["path"]) / "more").write_text("more")
    (gone,) = printed(run, "remove", "--force", given["path"])
    assert gone.keys() == DOCUMENTED["remove, prune"]
    git("commit", "-q", "--allow-empty", "-m", "more", cwd=Path(made["path"]))
    git("merge", "-q", "--no-ff", made["branch"], cwd=repo)
    (pruned,) = printed(run, "prune")
    assert pruned.keys() == gone.keys()
    (kept, *_) = printed(run, "restore", "--list")
    assert kept.keys() == DOCUMENTED["restore"]
    assert printed(run, "restore").keys() == {"branch", "path", "kept"}
