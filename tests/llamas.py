"""Llamas of random weights with a tokenizer of ours, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.vocabulary import complete
from wtname import naming

PROMPTS = [
    "Fix crash on zero-width columns",
    "Add dark mode toggle to the settings page",
    "Bump webpack to 5.90.1",
    "Rename UserManager to AccountService, no behaviour change",
    "The README still says Python 3.8, we need 3.10. Please update.",
]
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
         "intermediate_size": 96, "max_position_embeddings": 256, "tie_word_embeddings": True}  # fmt: skip


def byte_level(*first: Any) -> Tokenizer:
    """A small BPE over the prompts, as GPT-2's or, with digits split first, SmolLM2's."""
    tokenizer = Tokenizer(models.BPE())
    steps = [*first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if first else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    numbers = [" 2024 don't"] * 50  # what pre-tokenizers split differently becomes a token where it is not split
    tokenizer.train_from_iterator([*(" " + naming.clean(p).text for p in PROMPTS), *numbers], trainer)
    return complete(tokenizer)[0]


def make(folder: Path, tokenizer: Tokenizer, *, bf16: bool = False, shards: bool = False, **shape: Any) -> Path:
    """A folder as transformers saves it, with random weights large enough to tell names apart."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    sizes = {"vocab_size": tokenizer.get_vocab_size(), **SMALL, **shape}
    model = LlamaForCausalLM(LlamaConfig(**sizes, initializer_range=0.2))
    model = model.bfloat16() if bf16 else model
    model.save_pretrained(folder, **({"max_shard_size": "100KB"} if shards else {}))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
