"""What a causal language model of any shape writes after our prompts, by transformers: for what is no Llama of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedModel

from training.batches import by_length, padded
from training.labels import LIKELY
from training.llama_folder import TOKENIZER, tokenizer_at
from wtname import naming
from wtname.search import MOST_STEPS, MOST_TOKENS


def load_causal(folder: Path, device: str) -> tuple[PreTrainedModel, Tokenizer]:
    """The model of a folder, in bf16 on a GPU, and its tokenizer. Raises ClickException where there is none."""
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise click.ClickException(f"no model in {folder} ({why}); make one: training.finetune_teacher") from None
    model = model.to(device, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    return model.eval(), tokenizer_at(folder / TOKENIZER)


@torch.inference_mode()
def continued(
    model: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[str], *, most: int = MOST_STEPS, count: int = 1,
    heat: float = 0.0, batch_tokens: int = 4096,
) -> Iterator[tuple[int, list[str | None]]]:  # fmt: skip
    """The place of each text and what the model wrote for it, `count` times; None where it found no end in `most`
    tokens.

    At a temperature of 0 the likeliest tokens, else one drawn of the 40 likeliest at each step. A text that is too
    long is cut where the engine cuts it. In batches of so many tokens, those of like length together.
    """
    end = tokenizer.token_to_id(naming.END)
    ids = [e.ids for e in tokenizer.encode_batch([naming.render(t) for t in texts], add_special_tokens=False)]
    ids = [seq if len(seq) <= MOST_TOKENS else [*seq[: MOST_TOKENS - 1], seq[-1]] for seq in ids]
    how = {"do_sample": True, "temperature": heat, "top_k": LIKELY, "top_p": 1.0} if heat else {"do_sample": False}
    batches = by_length(np.array([len(seq) for seq in ids]), max(1, batch_tokens // count)) if ids else []
    for part in tqdm(batches, desc="writing", disable=None, leave=False):
        rows = padded([ids[i] for i in part], end, left=True).to(model.device)
        mask = padded([[1] * len(ids[i]) for i in part], left=True).to(model.device)
        written = model.generate(
            input_ids=rows, attention_mask=mask, max_new_tokens=most, num_return_sequences=count, eos_token_id=end,
            pad_token_id=end, **how,
        )[:, rows.shape[1] :].tolist()  # fmt: skip
        whole = [
            tokenizer.decode(seq[: seq.index(end)], skip_special_tokens=False) if end in seq else None
            for seq in written
        ]
        for at, i in enumerate(part):
            yield int(i), whole[at * count : (at + 1) * count]


def by_causal(folder: Path, device: str, batch_tokens: int) -> Callable[[Sequence[str], int], list[Counter[str]]]:
    """What draws names by the model of a folder, in batches of so many tokens."""
    model, tokenizer = load_causal(folder, device)

    def draw(texts: Sequence[str], count: int) -> list[Counter[str]]:
        drawn: list[Counter[str]] = [Counter() for _ in texts]
        for i, names in continued(model, tokenizer, texts, count=count, heat=1.0, batch_tokens=batch_tokens):
            drawn[i].update("-".join(name.split()) for name in names if name)
        return drawn

    return draw
