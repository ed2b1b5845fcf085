"""Where the model lives: find it, check it, install another one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from wtname.errors import ModelError
from wtname.pairs import ENCODER as ENCODER
from wtname.pairs import GGUF as GGUF

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


def facts(found: Found) -> dict[str, object]:
    """What there is to know about a model without loading it."""
    from wtname import gguf_header

    header = gguf_header.read(found.path)
    kind = header.metadata.get("general.architecture")
    shape = {
        name: header.metadata.get(f"{kind}.{key}")
        for name, key in (("layers", "block_count"), ("width", "embedding_length"), ("context", "context_length"))
    }
    return {
        "path": str(found.path),
        "found_by": found.by,
        "bytes": found.path.stat().st_size,
        "sha256": sha256(found.path),
        "name": header.metadata.get("general.name"),
        "architecture": kind,
        "parameters": header.parameters,
        **shape,
        "vocabulary": header.metadata.get("tokenizer.ggml.tokens"),
    }


def trial(path: Path) -> str:
    """The name that a model gives to the trial prompt; ModelError where it gives none of the right form."""
    from wtname import naming
    from wtname.engine import Engine

    names = [guess.name for guess in Engine(path).suggest(naming.clean(TRIAL)) if guess.name]
    if not names or not naming.NAME.fullmatch(names[0]):
        raise ModelError(f"{path} does not name branches: it made {names} of {TRIAL!r}")
    return names[0]


def verify(path: Path, shown: Path | None = None) -> str:
    """The trial in a process of its own, which a broken file may crash; complaints are about `shown`."""
    from wtname import child, gguf_header

    gguf_header.read(path)
    done = child.run("-m", "wtname.models", str(path.absolute()))
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"loading {path} crashed Python ({done.returncode})"]
        raise ModelError(told[-1].replace(str(path.absolute()), str(shown or path)))
    return done.stdout.strip()


def install(source: str | None = None) -> tuple[Path, str]:
    """Put a model (a GGUF, a folder with one, or the packaged one) into the user's folder. It has to name
    a branch there before it takes another's place. Returns where it is and its trial name."""
    from wtname import gguf_header

    gguf, target = existing(source).path if source else PACKAGED, home()
    gguf_header.read(gguf)
    staged: list[tuple[Path, Path]] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in (gguf, gguf.with_name(TOKENIZER)):
            if file == gguf or file.is_file():
                staged.append((_copy(file, target), target / (GGUF if file == gguf else TOKENIZER)))
        name = verify(staged[0][0], gguf)
        for copy, place in staged:
            copy.replace(place)
        if len(staged) == 1:
            (target / TOKENIZER).unlink(missing_ok=True)  # it belonged to the model before
    except OSError as error:
        raise ModelError(f"cannot install {gguf} into {target}: {error.strerror}") from error
    finally:
        for copy, _ in staged:
            copy.unlink(missing_ok=True)
    return target / GGUF, name


def _copy(source: Path, folder: Path) -> Path:
    import shutil
    import tempfile

    handle, name = tempfile.mkstemp(prefix=".", suffix=source.suffix, dir=folder)
    copy = Path(name)
    try:
        with os.fdopen(handle, "wb") as out, source.open("rb") as data:
            shutil.copyfileobj(data, out)
            out.flush()
            os.fsync(out.fileno())
        copy.chmod(0o644)
    except BaseException:
        copy.unlink()
        raise
    return copy


if __name__ == "__main__":
    import sys

    try:
        print(trial(Path(sys.argv[1])))
    except ModelError as error:
        sys.exit(str(error))
