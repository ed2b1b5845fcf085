"""Scores side by side of the packaged model, by a scorer of the shape that --scorer takes; and the figures by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result
from conftest import NAMED, invoke

from training import breakdown, corpus, evaluate, namers
from wtname import models

ROWS = [
    *NAMED,
    (" ".join(["The login page is slow."] * 10), "fix-slow-login-page"),
]
# A point for the type and one for the words, of which one is common.
SCORER = """
def score(rows, names):
    scored, right = [], 0
    for row in rows:
        name, ref = names[row["id"]], row["refs"][0]
        kind, _, body = name.partition("-")
        common = set(body.split("-")) & set(ref.split("-")[1:])
        points = 1.0 if name == ref else 0.5 * (kind == ref.split("-")[0]) + 0.5 * bool(common)
        right += name == ref
        scored.append((points, name, ref, row["prompt"]))
    figures = dict.fromkeys(("form", "type", "f1", "invented", "dull", "none_p", "none_r"))
    mean = sum(s[0] for s in scored) / len(scored)
    return {"n": len(rows), "score": round(100 * mean, 2), **figures, "exact": round(right / len(rows), 4)}, scored
"""


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    path = tmp_path / "scorer.py"
    path.write_text(SCORER)
    return path


@pytest.fixture
def refs(tmp_path: Path) -> Path:
    rows = [{"id": f"r{i}", "prompt": p, "refs": [n], "kind": "ab"[i % 2]} for i, (p, n) in enumerate(ROWS)]
    corpus.write_jsonl(tmp_path / "refs.jsonl", rows)
    return tmp_path / "refs.jsonl"


def run(*args: object) -> Result:
    return invoke(evaluate.main, *args)


def rows_of(result: Result) -> dict[tuple[str, str], dict[str, Any]]:
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["stage"] == "evaluate"
    return {(row["namer"], row["file"]): row for row in figures["rows"]}


def test_every_namer_is_scored_as_a_whole_and_by_group(scorer: Path, refs: Path) -> None:
    pytest.importorskip("yake")
    rows = rows_of(run("--gguf", models.PACKAGED, "--scorer", scorer, refs))
    assert [namer for namer, _ in rows] == ["branch-name-generator", "words picked", "slug", "yake"]
    model = rows["branch-name-generator", "refs"]
    assert model["score"] > rows["slug", "refs"]["score"]
    for row in rows.values():
        assert {k: v["n"] for k, v in row["by_type"].items()} == {
            "feat": 1, "fix": 2, "refactor": 1, "docs": 1, "chore": 1, "none": 1
        }  # fmt: skip
        assert {k: v["n"] for k, v in row["by_kind"].items()} == {"a": 4, "b": 3}
        assert {k: v["n"] for k, v in row["by_length"].items()} == {"<=12": 6, ">45": 1}
        whole = sum(v["n"] * v["score"] for v in row["by_length"].values()) / len(ROWS)
        assert row["score"] == pytest.approx(whole, abs=0.01)
        assert sum(sum(given.values()) for given in row["confusion"].values()) == len(ROWS)
    assert model["types"]["none"] == {"wanted": 1, "given": 1, "precision": 1.0, "recall": 1.0}
    assert model["calibration"]["n"] == sum(b["n"] for b in model["calibration"]["bins"]) == len(ROWS) - 1
    assert {c["recall"] for c in model["abstaining"]} == {1.0}  # a greeting never reaches the model
    assert "calibration" not in rows["slug", "refs"]


def test_rows_of_prompt_and_name_are_references_too(scorer: Path, tmp_path: Path) -> None:
    rows = [{"prompt": p, "name": n} for p, n in ROWS]
    (tmp_path / "refs.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    args = ("--gguf", models.PACKAGED, "--no-baselines", "--scorer", scorer, "--limit", 3)
    found = rows_of(run(*args, tmp_path / "refs.jsonl.gz"))
    (row,) = found.values()
    assert row["n"] == 3 and "by_kind" not in row
    spread = evaluate.read_refs(tmp_path / "refs.jsonl.gz", 3)
    assert [r["prompt"] for r in spread] == [ROWS[0][0], ROWS[2][0], ROWS[4][0]]


def test_people_are_compared_where_they_have_named(scorer: Path, refs: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": ROWS[0][0], "branch": "jo/crash", "name": "fix-zero-width-crash"},
        {"prompt": ROWS[1][0], "branch": "feature/dark_mode-toggle"},
        {"prompt": "another", "branch": "x"},
    ]
    corpus.write_jsonl(tmp_path / "human.jsonl", rows)
    args = ("--gguf", models.PACKAGED, "--no-baselines", "--scorer", scorer, "--branches", tmp_path / "human.jsonl")
    found = rows_of(run(*args, refs))
    model = "branch-name-generator"
    assert list(found) == [(model, "refs"), (model, "refs branched"), (evaluate.PEOPLE, "refs branched")]
    assert [row["n"] for row in found.values()] == [len(ROWS), 2, 2]
    assert found[evaluate.PEOPLE, "refs branched"]["score"] == 100
    own = [{"prompt": p, "name": n, "branch": "wip"} for p, n in ROWS]
    corpus.write_jsonl(tmp_path / "own.jsonl", own)
    found = rows_of(run("--no-baselines", "--gguf", models.PACKAGED, "--scorer", scorer, tmp_path / "own.jsonl"))
    assert list(found) == [(model, "own"), (evaluate.PEOPLE, "own")]
    assert found[evaluate.PEOPLE, "own"]["exact"] == 0
    assert list(rows_of(run("--no-baselines", tmp_path / "own.jsonl"))) == [(evaluate.PEOPLE, "own")]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"human": "fix-x"}, "fix-x"),
        ({"branch": "fix/login-loop"}, "fix-login-loop"),
        ({"branch": "bugfix/LoginLoop"}, "fix-login-loop"),
        ({"branch": "feature"}, "feat-task"),
        ({"branch": "retry_webhooks"}, "feat-retry-webhooks"),
        ({"branch": "///"}, "feat-task"),
        ({}, None),
    ],
)
def test_a_branch_as_a_name(row: dict[str, str], name: str | None) -> None:
    rows = [{"id": "1", "prompt": "Allow webhooks to be sent again", "refs": ["feat-x"], **row}]
    assert evaluate.people(rows, ()) == ({"1": name} if name else {})


@pytest.mark.parametrize(
    ("path", "others", "label"),
    [
        (f"a/m/{models.GGUF}", [], "branch-name-generator"),
        (f"a/m/{models.GGUF}", ["b/m/other.gguf"], "branch-name-generator"),
        (f"a/m/{models.GGUF}", [f"b/m/{models.GGUF}", f"b/n/{models.GGUF}"], "a/m"),
        (f"a/m/{models.GGUF}", [f"x/a/m/{models.GGUF}"], f"a/m/{models.GGUF}"),
        ("jan/test.jsonl", ["feb/test.jsonl"], "jan/test.jsonl"),
        ("a/student", ["b/student"], "a/student"),
    ],
)
def test_a_label_is_what_no_other_has(path: str, others: list[str], label: str) -> None:
    assert evaluate._label(Path(path), (Path(path), *map(Path, others))) == label


def test_pictures_are_the_same_every_time(scorer: Path, refs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    args = ("--gguf", models.PACKAGED, "--no-baselines", "--scorer", scorer, refs, "--plot")
    for folder in ("a", "b"):
        rows_of(run(*args, tmp_path / folder))
    names = {"calibration", "abstaining", "confusion-branch-name-generator-refs", "length-refs"}
    pictures = {path.stem: path.read_text() for path in (tmp_path / "a").iterdir()}
    assert pictures.keys() == names
    assert pictures == {path.stem: path.read_text() for path in (tmp_path / "b").iterdir()}


def test_other_runtimes_name_as_llama_cpp_does(scorer: Path, refs: Path, tmp_path: Path) -> None:
    for needed in ("torch", "transformers", "onnxruntime", "onnx"):
        pytest.importorskip(needed)
    from llamas import byte_level, make

    from training import export_gguf
    from training.export_onnx import write_int8
    from training.llama_folder import LlamaFolder

    folder = make(tmp_path / "model", byte_level())
    export_gguf.write_f16(LlamaFolder(folder), folder / "tokenizer.json", tmp_path / "f16.gguf")
    write_int8(LlamaFolder(folder), folder / "int8.onnx")
    models_given = ("--gguf", tmp_path / "f16.gguf", "--torch", folder, "--onnx", folder / "int8.onnx")
    found = rows_of(run(*models_given, "--no-baselines", "--scorer", scorer, refs))
    assert [namer for namer, _ in found] == ["f16", "int8", "model"]
    llama, torch = found["f16", "refs"], found["model", "refs"]
    assert torch["confusion"] == llama["confusion"] and torch["score"] == llama["score"]
    assert torch["abstaining"] == llama["abstaining"]
    assert torch["calibration"]["ece"] == pytest.approx(llama["calibration"]["ece"], abs=0.02)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no rows"),
        ("{\n", "row 1"),
        ('{"prompt": "a", "name": "fix-a"}\n{"prompt": "b"}\n', "row 2: 'name'"),
        ('{"prompt": 1, "name": "fix-a"}\n', "row 1"),
        ('{"prompt": "a", "refs": []}\n', "row 1"),
        ("[]\n", "row 1"),
        ('{"id": 1, "prompt": "a", "name": "fix-a"}\n' * 2, "an id twice"),
        ('{"prompt": "a", "name": "fix-a", "branch": 1}\n', "row 1"),
    ],
)
def test_a_file_that_is_no_good_is_one_line(text: str, why: str, scorer: Path, tmp_path: Path) -> None:
    (tmp_path / "refs.jsonl").write_text(text)
    with pytest.raises(click.ClickException, match=why):
        evaluate.read_refs(tmp_path / "refs.jsonl")
    result = run("--scorer", scorer, tmp_path / "refs.jsonl")
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1


def test_a_model_that_is_none_is_one_line(scorer: Path, refs: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and no more")
    result = run("--gguf", tmp_path / "bad.gguf", "--no-baselines", "--scorer", scorer, refs)
    assert result.exit_code == 1 and "bad.gguf" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (["--no-baselines"], 2, "nothing to score"),
        (["--gguf", "bad.onnx"], 2, "bad.onnx is no .gguf file"),
        (["--onnx", models.PACKAGED], 2, f"{models.PACKAGED} is no .onnx file"),
        (["--onnx", "."], 2, "is a directory"),
        (["--torch", "bad.onnx"], 2, "is a file"),
        (["--teacher", "bad.onnx"], 2, "is a file"),
        # Before the model is found to be none.
        (["--onnx", "bad.onnx", "--plot", "bad.onnx/x"], 1, "bad.onnx/x cannot be read or written"),
        (["--onnx", "bad.onnx", "--branches", "cut.jsonl"], 1, "cut.jsonl, after row 1"),
        (["--onnx", "bad.onnx", "--branches", "list.jsonl"], 1, "list.jsonl, after row 1: not an object"),
        (["--onnx", "bad.onnx", "--branches", "odd.jsonl"], 1, "odd.jsonl, row 2: prompt, branch and name are strings"),
    ],
)
def test_what_cannot_be_scored_is_one_line_before_the_work(
    args: list[object], code: int, why: str, refs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "bad.onnx": "nothing of the kind", "cut.jsonl": '{"prompt": "x"}\n{"prompt": "Fix', "list.jsonl": "[1, 2]\n",
        "odd.jsonl": '{"prompt": "x"}\n{"prompt": ["x"], "branch": "x"}\n',
    }  # fmt: skip
    for name, text in files.items():
        Path(name).write_text(text)
    result = run(*args, refs)
    assert result.exit_code == code and result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert why in last and (code == 2 or len(result.stderr.splitlines()) == 1), result.stderr


@pytest.mark.parametrize(
    ("words", "label"),
    [(1, "<=12"), (12, "<=12"), (13, "13-20"), (20, "13-20"), (21, "21-45"), (45, "21-45"), (46, ">45")],
)
def test_lengths(words: int, label: str) -> None:
    assert breakdown.length_of({"prompt": "word " * words}) == label


def test_precision_and_recall_of_types_by_hand() -> None:
    wanted = [["fix-a"], ["fix-a", "feat-a"], ["feat-a"], ["feat-a"], ["none"]]
    given = ["fix-b", "feat-b", "fix-b", "none", "none"]
    rows = [{"id": str(i), "refs": refs} for i, refs in enumerate(wanted)]
    table = breakdown.confusion(rows, {str(i): name for i, name in enumerate(given)})
    assert table["feat"] == {**dict.fromkeys(breakdown.KINDS, 0), "feat": 1, "fix": 1, "none": 1}
    types = breakdown.by_type(table)
    assert types["fix"] == {"wanted": 1, "given": 2, "precision": 0.5, "recall": 1.0}
    assert types["feat"] == {"wanted": 3, "given": 1, "precision": 1.0, "recall": 0.3333}
    assert types["none"] == {"wanted": 1, "given": 2, "precision": 0.5, "recall": 1.0}
    assert types["docs"] == {"wanted": 0, "given": 0, "precision": None, "recall": None}


def test_calibration_by_hand() -> None:
    got = breakdown.calibration([0.95, 1.0, 0.5, 0.59], [1.0, 0.5, 0.5, 0.0])
    assert got == {
        "n": 4,
        "ece": round((abs(0.975 - 0.75) * 2 + abs(0.545 - 0.25) * 2) / 4, 4),
        "bins": [
            {"from": 0.5, "n": 2, "confidence": 0.545, "points": 0.25},
            {"from": 0.9, "n": 2, "confidence": 0.975, "points": 0.75},
        ],
    }
    assert breakdown.calibration([], []) == {"n": 0, "ece": None, "bins": []}


def test_abstaining_by_hand() -> None:
    curve = {c["threshold"]: c for c in breakdown.abstaining([0.9, 0.5, 0.3, 0.0], [True, False, True, False])}
    assert curve[0.9] == {"threshold": 0.9, "said": 1, "precision": 1.0, "recall": 0.5}
    assert curve[0.5] == {"threshold": 0.5, "said": 2, "precision": 0.5, "recall": 0.5}
    assert curve[0.3] == {"threshold": 0.3, "said": 3, "precision": 0.6667, "recall": 1.0}
    assert curve[0.95] == {"threshold": 0.95, "said": 0, "precision": None, "recall": 0.0}


def test_a_prompt_that_names_no_task_by_rules_is_sure_to_be_none() -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        hello, task = namers.by_gguf(models.PACKAGED, stack)(["hello", ROWS[0][0]])
    assert (hello.name, hello.none) == (None, 1.0)
    assert task.name and task.none is not None and task.none < 0.5


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("", "no function `score` that works: KeyError('score')"),
        ("score = 1", "'int' object is not callable"),
        ("def score(rows, names): return 1", "TypeError"),
        ("def score(", "SyntaxError"),
        ("raise SystemExit(2)", "SystemExit(2)"),
        (SCORER.replace('"dull", ', ""), "gives no dull;"),
    ],
)
def test_a_scorer_that_is_none_is_one_line(script: str, why: str, refs: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(script)
    result = run("--no-baselines", "--scorer", tmp_path / "other.txt", refs)
    assert result.exit_code == 1 and why in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_scorer_takes_the_place_of_ours(scorer: Path, refs: Path) -> None:
    args = ("--gguf", models.PACKAGED, "--no-baselines", refs)
    model = ("branch-name-generator", "refs")
    ours, other = rows_of(run(*args))[model], rows_of(run(*args, "--scorer", scorer))[model]
    assert (ours["form"], ours["none_r"]) == (1.0, 1.0)
    assert other["form"] is other["none_r"] is None
    assert ours["exact"] == pytest.approx(other["exact"] * len(ROWS) / (len(ROWS) - 1) - 1 / (len(ROWS) - 1), abs=1e-3)
