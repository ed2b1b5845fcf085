"""Where the model lives: find it, check it, install another one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wtname import pairs
from wtname.errors import ModelError
from wtname.pairs import ENCODER as ENCODER
from wtname.pairs import GGUF as GGUF

if TYPE_CHECKING:
    from wtname.gguf_header import Header

TOKENIZER = "tokenizer.json"
PACKAGED = Path(__file__).parent / "model" / GGUF
# A prompt that every model of ours can name.
TRIAL = "Fix crash when the config file is empty"


class Found(NamedTuple):
    """A model's place and who named it: flag, environment, user or package."""

    path: Path
    by: str


def find(flag: str | None = None) -> Found:
    """The model to use. One that is asked for by name is never silently replaced by another, not even if missing."""
    if flag:
        return Found(_file(Path(flag)), "flag")
    if folder := os.environ.get("WTNAME_MODEL_DIR"):
        return Found(_file(Path(folder)), "environment")
    if (installed := home() / GGUF).is_file():
        return Found(installed, "user")
    return Found(PACKAGED, "package")


def existing(flag: str | None = None) -> Found:
    """The model to use, which has to be there."""
    found = find(flag)
    if not found.path.is_file():
        fix = {"flag": f"give a GGUF file or a folder with {GGUF}", "environment": "mend or unset WTNAME_MODEL_DIR"}
        raise ModelError(f"{found.path} is missing; {fix.get(found.by, 'install wtname again')}")
    return found


def home() -> Path:
    """The folder that an installed model lives in."""
    from platformdirs import user_data_path

    return user_data_path("com.godly.terminal", appauthor=False, roaming=True) / "models" / "branch-name-gen"


def _file(path: Path) -> Path:
    return path / GGUF if path.is_dir() else path


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Parts(NamedTuple):
    """The files of a model: its namer and, where it has one, its encoder."""

    namer: Path
    encoder: Path | None


def parts(path: Path) -> Parts:
    """The files of the model whose namer is at `path`. ModelError where one is missing, damaged or another model's."""
    files = [file for file, _ in _headers(path)]
    return Parts(path, files[1] if files[1:] else None)


def _headers(path: Path) -> list[tuple[Path, Header]]:
    """The namer's header, then its encoder's."""
    from wtname import gguf_header

    header = gguf_header.read(path)
    encoder = pairs.encoder(path, header.text)
    if encoder is None:
        return [(path, header)]
    beside = gguf_header.read(encoder)
    pairs.check(path, header.text, encoder, beside.text)
    return [(path, header), (encoder, beside)]


def _shape(header: Header, *names: str) -> dict[str, object]:
    kind = header.metadata.get("general.architecture")
    keys = {"layers": "block_count", "width": "embedding_length", "context": "context_length"}
    return {name: header.metadata.get(f"{kind}.{keys[name]}") for name in names}


def facts(found: Found) -> dict[str, object]:
    """What there is to know about a model without loading it. Its size is that of all its files together."""
    from wtname.engine.pointer import POINTER_KEY

    files = _headers(found.path)
    header = files[0][1]
    told: dict[str, object] = {
        "path": str(found.path),
        "found_by": found.by,
        "bytes": sum(file.stat().st_size for file, _ in files),
        "sha256": sha256(found.path),
        "name": header.metadata.get("general.name"),
        "architecture": header.metadata.get("general.architecture"),
        "parameters": sum(one.parameters for _, one in files),
        **_shape(header, "layers", "width", "context"),
        "vocabulary": header.metadata.get("tokenizer.ggml.tokens"),
    }
    if size := header.metadata.get(POINTER_KEY):
        told["pointer"] = size
    for file, one in files[1:]:
        size = file.stat().st_size
        told["encoder"] = {
            "path": str(file), "bytes": size, "sha256": sha256(file), **_shape(one, "layers", "width"),
        }  # fmt: skip
    return told


def trial(path: Path) -> str:
    """The name that a model gives to the trial prompt; ModelError where it gives none of the right form."""
    from wtname import naming
    from wtname.engine import Engine

    names = [guess.name for guess in Engine(path).suggest(naming.clean(TRIAL)) if guess.name]
    if not names or not naming.NAME.fullmatch(names[0]):
        raise ModelError(f"{path} does not name branches: it made {names} of {TRIAL!r}")
    return names[0]


def verify(path: Path, shown: Parts | None = None) -> str:
    """The trial in a process of its own, which a broken file may crash; complaints are about the files `shown`."""
    from wtname import child

    files = parts(path)
    done = child.run("-m", "wtname.models", str(path.absolute()))
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"loading {path} crashed Python ({done.returncode})"]
        why = told[-1]
        for file, of in zip(files, shown or files, strict=True):
            if file and of:
                why = why.replace(str(file.absolute()), str(of))
        raise ModelError(why)
    return done.stdout.strip()


def install(source: str | None = None) -> tuple[Parts, str]:
    """Put a model (a GGUF, a folder with one, or the packaged one) into the user's folder. It has to name
    a branch there before it takes another's place, all of it or nothing. Returns where it is and its trial name."""
    import tempfile

    given, target = parts(existing(source).path if source else PACKAGED), home()
    gguf = given.namer
    files = {GGUF: gguf, TOKENIZER: gguf.with_name(TOKENIZER)}
    if given.encoder:
        # Before the namer: a model of one file minds no encoder, so only a pair after a pair is mixed for a moment.
        files = {given.encoder.name: given.encoder, **files}
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=target) as folder:
            new = Path(folder, "new")
            new.mkdir()
            staged = [_copy(file, new / name) for name, file in files.items() if file == gguf or file.is_file()]
            name = verify(new / GGUF, given)
            _exchange(staged, target, Path(folder))
    except OSError as error:
        raise ModelError(f"cannot install {gguf} into {target}: {error.strerror}") from error
    return Parts(target / GGUF, given.encoder and target / given.encoder.name), name


def _old(folder: Path) -> set[str]:
    """What the model that is installed may have there beside its namer."""
    from wtname import gguf_header

    names = {ENCODER, TOKENIZER}
    with suppress(ModelError):
        if encoder := pairs.encoder(folder / GGUF, gguf_header.read(folder / GGUF).text):
            names.add(encoder.name)
    return names


def _exchange(staged: list[Path], target: Path, kept: Path) -> None:
    """Move files into the folder, in their order, and delete what the old model had beside them. If that fails, the
    folder is as it was."""
    names = [file.name for file in staged]
    taken = {name.casefold() for name in names}
    gone = [name for name in _old(target) if name.casefold() not in taken]
    before = {name: _copy(target / name, kept / name) for name in (*names, *gone) if (target / name).is_file()}
    done = []
    try:
        for file in staged:
            file.replace(target / file.name)
            done.append(file.name)
        for name in before.keys() & gone:
            (target / name).unlink()
            done.append(name)
    except BaseException:
        for name in reversed(done):
            if name in before:
                before[name].replace(target / name)
            else:
                (target / name).unlink()
        raise


def _copy(source: Path, place: Path) -> Path:
    import shutil

    with place.open("xb") as out, source.open("rb") as data:
        shutil.copyfileobj(data, out)
        out.flush()
        os.fsync(out.fileno())
    place.chmod(0o644)
    return place


if __name__ == "__main__":
    import sys

    try:
        print(trial(Path(sys.argv[1])))
    except ModelError as error:
        sys.exit(str(error))
