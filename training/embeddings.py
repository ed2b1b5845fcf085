"""Vectors for the student's vocabulary to start from: those of a pretrained encoder's word pieces, in fewer dimensions.

python -m training.embeddings --encoder MINILM --tokenizer models/tokenizer/tokenizer.json
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from training.copy_model import NO_MODEL, word_pieces
from training.stage import report, stage_command, whole

SCALE, NOISE = 0.04, 0.004


@stage_command()
@click.option("--encoder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--tokenizer", "tokenizer_path", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--hidden", default=256)
@click.option("--out", type=click.Path(path_type=Path), default=Path("models/embeddings.npy"))
def main(encoder: Path, tokenizer_path: Path, hidden: int, out: Path) -> None:
    """Write an array (vocabulary, hidden) in float32: a token's mean word-piece vector, projected."""
    try:
        table = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"].astype(np.float32)
    except NO_MODEL as error:
        raise click.ClickException(f"{encoder} holds no encoder; give the folder of all-MiniLM-L6-v2") from error
    table -= table.mean(0)
    pieces = word_pieces(encoder)
    known = pieces.get_vocab()
    tokens = Tokenizer.from_file(str(tokenizer_path)).get_vocab()
    full = np.zeros((len(tokens), table.shape[1]), dtype=np.float32)
    found = np.zeros(len(tokens), dtype=bool)
    for token, at in tokens.items():
        begins, word = token.startswith("Ġ"), token.removeprefix("Ġ")
        if not (word.isascii() and word.isalnum()):
            continue
        inside = known.get("##" + word)
        ids = [inside] if not begins and inside is not None else pieces.encode(word, add_special_tokens=False).ids
        full[at] = table[ids].mean(0)
        found[at] = True
    centred = full[found] - full[found].mean(0)
    _, spectrum, directions = np.linalg.svd(centred, full_matrices=False)
    small = full @ directions[:hidden].T
    # Evened out a little, so that no direction rules the dot products of the output layer.
    small /= np.sqrt(small[found].std(0))
    small *= SCALE / small[found].std()
    rng = np.random.default_rng(0)
    small[~found] = rng.normal(0, SCALE / 2, (int((~found).sum()), hidden))
    small += rng.normal(0, NOISE, small.shape)  # equal rows part
    with whole(out) as temp, open(temp, "wb") as file:
        np.save(file, small.astype(np.float32))
    kept = float((spectrum[:hidden] ** 2).sum() / (spectrum**2).sum())
    report("embeddings", found=int(found.sum()), variance_kept=round(kept, 3), out=str(out))


if __name__ == "__main__":
    main()
