"""The chain's stages in order, each a command line with the files it reads and writes, in several sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training.splits import SHARES
from wtname.models import ENCODER, GGUF, PACKAGED, TOKENIZER

NAME = "branch-name-generator"
HERE = Path(__file__).parent
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
# Of a team's names: with fewer, no type may have one to spare for each of the three files.
LEAST_NAMES = 50


@dataclass(frozen=True)
class Stage:
    """`python -m training.<module> ARGS`, and the files and folders that it reads and writes. `needs`: those that are
    given to it even where they are empty, for it to say so."""

    name: str
    module: str
    args: tuple[str, ...]
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]
    needs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Preset:
    """Each stage's options in one size. `made`: the base model is made on the spot, of this shape.

    `scratch` stands in for `teacher` where there is no base to fine-tune. `tune`: no new model, but these options of
    distill for the packaged one.
    """

    vocab: int = 0
    generate: str = ""
    made: str = ""
    base: str = ""
    teacher: str = ""
    scratch: str = ""
    distill: str = ""
    tune: str = ""
    export: str = ""
    benchmark: str = ""
    evaluate: str = ""


PRESETS = {
    # Minutes on two cores, no network: every stage for real, on models too small to be of use.
    "tiny": Preset(
        vocab=2048,
        generate=f"--augment 60 --written {os.devnull}",
        made="--layers 2 --hidden 256 --heads 4 --inner 512 --max-steps 60",
        teacher="--max-steps 20 --batch 8 --test-limit 20",
        distill="--student-layers 2 --student-hidden 256 --student-heads 4 --student-inner 512 --epochs 1",
        # Names of a model that has learnt next to nothing hang on its last digits.
        export="--compare 20 --least-agree 0",
        benchmark="--n 20 --rounds 1",
        evaluate="--limit 50",
    ),
    # Hours on two cores; without --base a teacher from nothing.
    "cpu": Preset(
        vocab=8192,
        teacher="--epochs 5",
        scratch="--layers 6 --hidden 384 --heads 6 --inner 1536 --epochs 15",
        distill="--student-layers 4 --student-hidden 256 --epochs 15",
    ),
    # The original's figures.
    "gpu": Preset(
        vocab=8192,
        base=BASE,
        teacher="--epochs 5",
        distill="--student-layers 4 --student-hidden 256 --epochs 15",
    ),
    # Minutes on two cores: the packaged model learns a team's own names. Q8_0 as nobody has to download it; after so
    # little training more names hang on their last digits, and torch's are no better.
    "house": Preset(
        tune="--epochs 8 --muon-lr 6e-4 --lr 3e-4 --encoder-lr 6e-5 --cooldown 0.95 --dropout 0.1 --z-loss 2e-4 "
        "--ema 0.99",
        export="--type Q8_0 --least-agree 0.85",
        evaluate="--no-baselines",
    ),
}


@dataclass(frozen=True)
class Job:
    """What is asked of a run: its size, the folder it works in, and what it starts from.

    `data`: a folder with train, val and test .jsonl; without one they are generated, `api` says whether with the API.
    """

    preset: Preset
    work: Path
    data: Path | None = None
    clones: tuple[Path, ...] = ()
    base: str = ""
    scorer: Path | None = None
    api: bool = False
    seed: int = 1

    @property
    def models(self) -> Path:
        """Where the models are made."""
        return self.work / "models"

    @property
    def gguf(self) -> Path:
        """The model that a run ends with."""
        return self.models / "Q8_0" / GGUF if self.preset.tune else self.models / f"{NAME}-Q4_K_M.gguf"

    @property
    def student(self) -> Path:
        """The folder of the model before its export."""
        return self.models / "student"

    def stages(self) -> list[Stage]:
        """The whole chain, in order."""
        return list(self._tuning()) if self.preset.tune else self._chain()

    def _chain(self) -> list[Stage]:
        data = self.data or self.work / "data"
        rows, unnamed = [data / "train.jsonl"], []
        val, test = data / "val.jsonl", data / "test.jsonl"
        if self.clones:
            human, *nameless = self._mined
            rows.append(human)
            unnamed += nameless
        return [*self._data(data, val, test), *self._models(rows, unnamed, val, test), *self._files(test)]

    def _tuning(self) -> Iterator[Stage]:
        """The packaged model, trained on with the names of the clones' branches, or of `data`, or both."""
        preset, packaged, known = self.preset, self.models / "packaged", HERE / "written.jsonl"
        data, human = self.data or self.work / "data", self._mined[0]
        train, val, test = parts = [data / f"{part}.jsonl" for part in SHARES]
        rows = [train]
        if self.clones:
            yield self._mining([val, test] if self.data else [])
        if not self.data:
            yield stage("split", "--skip-api", *self._seed, "--seeds", os.devnull, "--written", human, "--augment", 0,
                        "--least-rows", LEAST_NAMES, "--out", data, module="generate_data", reads=[human],
                        writes=parts, needs=[human])  # fmt: skip
        elif self.clones:
            rows.append(human)
        files = [PACKAGED.with_name(name) for name in (GGUF, ENCODER, TOKENIZER)]
        yield stage("import_gguf", "--compare", 0, "--out", packaged, reads=files, writes=[packaged])
        yield stage("distill", "--init", packaged, *each("--train", rows), "--replay", known, "--val", val,
                    preset.tune, *self._seed, "--out", self.student, reads=[packaged, *rows, known, val],
                    writes=[self.student])  # fmt: skip
        yield stage("export_gguf", "--student-dir", self.student, "--prompts", train, preset.export, "--out",
                    self.models, reads=[self.student, train], writes=[self.gguf.parent])  # fmt: skip
        other = [self.scorer] if self.scorer else []
        both = each("--gguf", [PACKAGED, self.gguf])
        yield stage("evaluate", preset.evaluate, *both, *each("--scorer", other), test,
                    reads=[*files, self.gguf.parent, *other, test])  # fmt: skip

    @property
    def _mined(self) -> tuple[Path, ...]:
        return tuple(self.work / "mined" / f"{file}.jsonl" for file in ("titles_human", "titles_raw", "commits_raw"))

    def _data(self, data: Path, val: Path, test: Path) -> Iterator[Stage]:
        if not self.data:
            api = () if self.api else ("--skip-api",)
            given = tuple(HERE / file for file in ("seeds.jsonl", "written.jsonl", *(["categories.txt"] * self.api)))
            made = (data / "train.jsonl", val, test)
            yield stage(
                "generate_data", *api, self.preset.generate, *self._seed, "--out", data, reads=given, writes=made
            )
        if self.clones:
            yield self._mining([val, test])

    def _mining(self, held: list[Path]) -> Stage:
        reads = [*held, *(file for clone in self.clones for file in heads(clone))]
        return stage("mine_history", *self.clones, *each("--held-out", held), "--out", self.work / "mined",
                     reads=reads, writes=self._mined)  # fmt: skip

    def _models(self, rows: list[Path], unnamed: list[Path], val: Path, test: Path) -> Iterator[Stage]:
        preset, seed = self.preset, self._seed
        tokenizer, made, teacher = (self.models / name for name in ("tokenizer", "base", "teacher-merged"))
        learn = each("--train", rows)
        scratch = ("--from-scratch", "--tokenizer", tokenizer)
        base = self.base or preset.base
        if not base:  # a base brings its own, and the student takes the teacher's
            yield stage("train_tokenizer", *each("--rows", rows), "--vocab-size", preset.vocab, "--out", tokenizer,
                        reads=rows, writes=[tokenizer])  # fmt: skip
        if preset.made and not base:
            base = str(made)
            yield stage("make_base", *scratch, preset.made, *seed, *learn, "--out", made, module="finetune_teacher",
                        reads=[tokenizer, *rows], writes=[made])  # fmt: skip
        how = ("--base", base, preset.teacher) if base else (*scratch, preset.scratch)
        start = [Path(base)] if Path(base) == made or Path(base).exists() else []
        yield stage("finetune_teacher", *how, *seed, *learn, "--val", val, "--test", test, "--out", teacher,
                    reads=[*(start if base else [tokenizer]), *rows, val, test], writes=[teacher])  # fmt: skip
        yield stage("distill", "--teacher", teacher, *learn, "--val", val, "--labels", "both",
                    *each("--unlabelled", unnamed), preset.distill, *seed, "--out", self.student,
                    reads=[teacher, *rows, val, *unnamed], writes=[self.student])  # fmt: skip

    def _files(self, test: Path) -> Iterator[Stage]:
        preset, student, models = self.preset, self.student, self.models
        ggufs = [models / f"{NAME}-{kind}.gguf" for kind in ("f16", "Q8_0", "Q4_K_M")]
        onnx, figures = models / f"{NAME}-int8.onnx", models / "benchmark.json"
        export = ("--student-dir", student, preset.export, "--out", models)
        yield stage("export_gguf", *export, reads=[student], writes=ggufs)
        yield stage("export_onnx", *export, "--format", "onnx", module="export_gguf", reads=[student], writes=[onnx])
        both = ("--gguf", self.gguf, "--torch", student)
        yield stage("benchmark", *both, "--onnx", onnx, preset.benchmark, "--out", figures,
                    reads=[self.gguf, student, onnx], writes=[figures])  # fmt: skip
        other = [self.scorer] if self.scorer else []
        yield stage(
            "evaluate", *both, *each("--scorer", other), preset.evaluate, test, reads=[self.gguf, student, *other, test]
        )

    @property
    def _seed(self) -> tuple[str, str]:
        return ("--seed", str(self.seed))


def stage(
    name: str, *args: object, module: str = "", reads: Iterable[Path] = (), writes: Iterable[Path] = (),
    needs: Iterable[Path] = (),
) -> Stage:  # fmt: skip
    """A stage, its module's name its own where none is given; a preset's string of options is taken apart."""
    words = [word for arg in args for word in (str(arg).split() if str(arg).startswith("--") else [str(arg)]) if word]
    return Stage(name, module or name, tuple(words), tuple(reads), tuple(writes), tuple(needs))


def each(option: str, paths: Iterable[Path]) -> list[object]:
    """The option before each of the paths."""
    return [word for path in paths for word in (option, path)]


def heads(clone: Path) -> list[Path]:
    """The files that say at which commits a clone stands, bare or not, or a worktree of one."""
    git = clone / ".git"
    if git.is_file():
        git = clone / git.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("gitdir:").strip()
    elif not git.is_dir():
        git = clone
    common = git / "commondir"
    shared = git / common.read_text(encoding="utf-8", errors="surrogateescape").strip() if common.is_file() else git
    return [path for path in (git / "HEAD", shared / "packed-refs", shared / "refs") if path.exists()]
