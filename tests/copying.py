"""A copying teacher of random weights, and a tokenizer of another kind for its student."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from training.copy_model import CLS, SEP, CopyTeacher
from training.corpus import Example, write_jsonl
from wtname import naming

ROWS = [
    Example(f"please {kind} the {what} under pressure", f"{kind}-{what}")
    for kind in ("fix", "test")
    for what in ("parsers", "cache", "logins")
]


def make(folder: Path) -> None:
    """Put rows.jsonl, a byte-level tokenizer.json and the teacher's folder copy/ into a folder."""
    write_jsonl(folder / "rows.jsonl", ({"text": row.text, "name": row.name} for row in ROWS))
    byte_level = Tokenizer(models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    markers = [naming.USER, naming.ASSISTANT, naming.END]
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=markers, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    byte_level.train_from_iterator([" please fix the cache"] * 3, trainer)
    byte_level.save(str(folder / "tokenizer.json"))
    words = "please fix test the parser cache login ##s un ##der press ##ure don ' t".split()
    pieces = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", *words]
    word_piece = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    word_piece.normalizer = normalizers.BertNormalizer()
    word_piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    torch.manual_seed(1)
    teacher = CopyTeacher(len(pieces), [CLS, SEP])
    (folder / "copy").mkdir()
    word_piece.save(str(folder / "copy" / "tokenizer.json"))
    save_file(teacher.state_dict(), folder / "copy" / "model.safetensors")
