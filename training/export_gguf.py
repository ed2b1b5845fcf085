"""Write a trained Llama for use: as GGUF, f16 and quantised, or as ONNX in INT8; then see that it names as torch does.

python -m training.export_gguf
python -m training.export_gguf --student-dir models/teacher-merged
python -m training.export_gguf --format onnx

A student with an encoder becomes two files, OUT/<type>/branch-name-generator.gguf and its encoder beside it.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import click
import gguf
import numpy as np

from training.llama_folder import TOKENIZER, LlamaFolder, has_encoder, tokenizer_at
from training.stage import bar, report, stage_command, whole
from training.vocabulary import MARKERS, WORDS
from training.word_pieces import GOES_ON
from wtname import models, naming
from wtname.engine import POINTER_KEY, PREFIX_KEY, Engine, silence
from wtname.errors import ModelError
from wtname.models import sha256
from wtname.pairs import ENCODER_KEY, PAIR_KEY

NAME = "branch-name-generator"
TYPES = ("f16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M")
SEEDS = Path(__file__).with_name("seeds.jsonl")
# llama.cpp knows a pre-tokenizer by a name; these are what ours and SmolLM2's do.
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
PRE = {
    "gpt-2": [BYTE_LEVEL],
    "smollm": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL],
}
# Where pre-tokenizers differ: digits, marks, apostrophes, capitals, spaces; and words that begin as a type does.
TEXTS = (
    "fix crash on zero width columns",
    "chore : bump webpack to 5 . 90 . 1 | v2 10 2024 ipv6 a11y x86",
    "feature features tests tested testing document stylesheet nonexistent fixes fixtures refactoring docs none",
    "don't can't it's THE CamelCase  two   spaces (brackets) a.b c/d e-f g_h #12 @i ? !",
)


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection from transformers' halves to llama.cpp's interleaved rotary pairs."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `permute`."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensor_name(name: str) -> str:
    """GGUF's name for a tensor of transformers' LlamaForCausalLM."""
    fixed = {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }  # fmt: skip
    if name in fixed:
        return fixed[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    table = {
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }  # fmt: skip
    return f"blk.{layer}.{table[rest.removesuffix('.weight')]}.weight"


def pre_tokenizer(spec: dict[str, Any]) -> str:
    """llama.cpp's name for what a tokenizer.json does before its BPE. Raises click.ClickException for one without."""
    pre = spec.get("pre_tokenizer") or {}
    steps = pre["pretokenizers"] if pre.get("type") == "Sequence" else [pre]
    steps = [{k: v for k, v in step.items() if k != "trim_offsets"} for step in steps]
    known = [name for name, wanted in PRE.items() if steps == wanted]
    if not known or spec["model"]["type"] != "BPE":
        kinds = ", ".join(str(step.get("type")) for step in steps)
        raise click.ClickException(
            f"a {spec['model']['type']} tokenizer after {kinds} is not supported; use GPT-2's or SmolLM2's"
        )
    return known[0]


def check_word_pieces(spec: dict[str, Any]) -> str:
    """The piece for what is unknown in a tokenizer.json of word pieces. Raises click.ClickException unless it splits
    and lowers as BERT's uncased one, the only one of its kind that llama.cpp has."""
    before, splits, model = spec.get("normalizer") or {}, spec.get("pre_tokenizer") or {}, spec["model"]
    bert = (
        before.get("type") == "BertNormalizer" and before.get("lowercase") and splits.get("type") == "BertPreTokenizer"
    )
    if not bert or model.get("continuing_subword_prefix") != GOES_ON:
        raise click.ClickException(
            "word pieces are supported as BERT's uncased tokenizer has them; use that one's rules"
        )
    unknown: str = model["unk_token"]
    return unknown


def add_tokenizer(writer: gguf.GGUFWriter, path: Path, vocab: int) -> None:
    """Put a tokenizer.json into a GGUF for a model of `vocab` rows."""
    tokenizer = tokenizer_at(path)
    spec = json.loads(tokenizer.to_str())
    ids = tokenizer.get_vocab(with_added_tokens=True)
    pieces = [f"[PAD{at}]" for at in range(vocab)]
    kinds = [gguf.TokenType.UNUSED] * vocab
    for piece, at in ids.items():
        pieces[at], kinds[at] = piece, gguf.TokenType.NORMAL
    for token in spec["added_tokens"]:
        kinds[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    if spec["model"]["type"] == "WordPiece":
        unknown = ids[check_word_pieces(spec)]
        writer.add_tokenizer_model("bert")
        # As llama.cpp has them: a word's first piece is marked, and not those that go on.
        pieces = [
            piece if kind != gguf.TokenType.NORMAL or at == unknown else
            piece.removeprefix(GOES_ON) if piece.startswith(GOES_ON) else f"\u2581{piece}"
            for at, (piece, kind) in enumerate(zip(pieces, kinds))
        ]  # fmt: skip
        kinds[unknown] = gguf.TokenType.UNKNOWN
        writer.add_unk_token_id(unknown)
        for add in (writer.add_bos_token_id, writer.add_sep_token_id, writer.add_mask_token_id):
            add(ids[naming.END])  # BERT's own markers have other numbers; none of them is used
        writer.add_add_eos_token(False)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre_tokenizer(spec))
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]])
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_eos_token_id(ids[naming.END])
    writer.add_pad_token_id(ids[naming.END])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)


def check_tokenizer(path: Path, vocab: int) -> None:
    """Raise click.ClickException unless it suits a model of `vocab` rows and has our markers and types as one token."""
    tokenizer = tokenizer_at(path)
    for text in (*MARKERS, *WORDS):
        if len(tokenizer.encode(text, add_special_tokens=False).ids) != 1:
            raise click.ClickException(
                f"{path} has no single token for {text!r}, which a namer needs; "
                "train with training.finetune_teacher or training.distill first"
            )
    if (most := max(tokenizer.get_vocab(with_added_tokens=True).values())) >= vocab:
        raise click.ClickException(f"{path} has {most + 1} tokens and the model {vocab}: not its tokenizer")


def write_f16(model: LlamaFolder, tokenizer: Path, out: Path, pair: str | None = None) -> None:
    """The model as an f16 GGUF: norms in f32, BPE vocabulary and merges from tokenizer.json. `pair`: its encoder's."""
    shape = model.shape
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_name(NAME)
    writer.add_description("Names git branches: <type>-<words> for a task in plain words")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.keys)
    if shape.size * shape.heads != shape.hidden:
        writer.add_key_length(shape.size)
        writer.add_value_length(shape.size)
    writer.add_rope_dimension_count(shape.size)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_vocab_size(shape.vocab)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    if shape.prefix:
        writer.add_bool(PREFIX_KEY, True)
    if shape.pointer:
        writer.add_uint32(POINTER_KEY, shape.pointer)
    if pair:
        writer.add_string(ENCODER_KEY, models.ENCODER)
        writer.add_string(PAIR_KEY, pair)
    add_tokenizer(writer, tokenizer, shape.vocab)
    for name, tensor in model.tensors():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = permute(tensor, shape.heads if ".q_proj" in name else shape.keys)
        writer.add_tensor(tensor_name(name), tensor.astype(np.float32 if tensor.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source: Path, out: Path, kind: str, vectors: str | None = None) -> None:
    """Quantise a GGUF with llama.cpp's own quantiser, the tokens' vectors (and the output layer) to `vectors` where it
    is given. Raises click.ClickException where llama.cpp refuses."""
    import llama_cpp

    silence(llama_cpp)
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    params.nthread = os.cpu_count() or 1
    if vectors:
        params.token_embedding_type = params.output_tensor_type = gguf.GGMLQuantizationType[vectors]
    with whole(out) as temp:
        if llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(temp), params):
            raise click.ClickException(f"llama.cpp did not quantise to {kind}; rows of whole 32s are needed: try f16")


def check_ids(file: Path, tokenizer: Path, texts: list[str]) -> None:
    """Raise click.ClickException unless llama.cpp reads the texts as the same tokens as the tokenizer does."""
    ours = tokenizer_at(tokenizer)
    engine = Engine(file)
    try:
        for text in texts:
            rendered = naming.render(text)
            got, want = engine.tokenize(rendered), ours.encode(rendered, add_special_tokens=False).ids
            if got != want:
                at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                piece = ours.decode(want[at : at + 3], skip_special_tokens=False)
                raise click.ClickException(
                    f"llama.cpp and {tokenizer} split {text[:60]!r} differently from {piece!r} on; the file is no use"
                )
    finally:
        engine.close()


def write_gguf(
    model: LlamaFolder, tokenizer: Path, out: Path, kinds: tuple[str, ...], prompts: list[str]
) -> dict[str, Path]:
    """Write OUT/NAME-<type>.gguf for each type, once llama.cpp reads the prompts as the tokenizer does; the files."""
    files = {kind: out / f"{NAME}-{kind}.gguf" for kind in kinds}
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        f16 = Path(scratch, "f16.gguf")
        write_f16(model, tokenizer, f16)
        check_ids(f16, tokenizer, [*TEXTS, *(naming.clean(prompt).text for prompt in prompts)])
        for kind in bar([k for k in kinds if k != "f16"], "quantise"):
            quantize(f16, files[kind], kind)
        if "f16" in kinds:
            os.replace(f16, files["f16"])
    return files


def write_pairs(
    folder: Path, tokenizer: Path, out: Path, kinds: tuple[str, ...], prompts: list[str]
) -> dict[str, Path]:
    """Write OUT/<type>/ for each type, a namer and its encoder, once llama.cpp reads the prompts as the tokenizer does;
    the namers."""
    from training.encoder import encoder_at
    from training.export_encoder import OUTPUT_TYPES, pair_of, write_encoder

    model, pair = LlamaFolder(folder), pair_of(folder)
    files = {kind: out / kind / models.GGUF for kind in kinds}
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        namer, encoder = Path(scratch, models.GGUF), Path(scratch, models.ENCODER)
        write_f16(model, tokenizer, namer, pair)
        write_encoder(encoder_at(folder, model.shape), pair, NAME, encoder)
        check_ids(namer, tokenizer, [*TEXTS, *(naming.clean(prompt).text for prompt in prompts)])
        for kind in bar([k for k in kinds if k != "f16"], "quantise"):
            files[kind].parent.mkdir(exist_ok=True)
            quantize(encoder, files[kind].with_name(models.ENCODER), kind, kind if kind in OUTPUT_TYPES else None)
            quantize(namer, files[kind], kind, OUTPUT_TYPES.get(kind))
        if "f16" in kinds:
            files["f16"].parent.mkdir(exist_ok=True)
            for path in (encoder, namer):
                os.replace(path, files["f16"].with_name(path.name))
    for path in files.values():
        copy_tokenizer(tokenizer, path.parent)
    return files


def copy_tokenizer(tokenizer: Path, out: Path) -> None:
    """Put the tokenizer beside the models."""
    if tokenizer.resolve() != (out / TOKENIZER).resolve():
        with whole(out / TOKENIZER) as temp:
            temp.write_bytes(tokenizer.read_bytes())


@stage_command()
@click.option(
    "--student-dir",
    type=click.Path(path_type=Path),
    default=Path("models/student"),
    help="A Llama's folder; the teacher ships too: models/teacher-merged.",
)
@click.option("--tokenizer", type=click.Path(path_type=Path), help="[default: tokenizer.json of the folder]")
@click.option("--format", "form", type=click.Choice(["gguf", "onnx"]), default="gguf")
@click.option(
    "--type",
    "kinds",
    multiple=True,
    type=click.Choice(TYPES),
    default=("f16", "Q8_0", "Q4_K_M"),
    help="Of GGUF; repeatable. ONNX is always INT8.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("models"))
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, exists=True),
    default=SEEDS,
    show_default="training/seeds.jsonl",
    help="Rows with a prompt each.",
)
@click.option(
    "--compare",
    default=200,
    type=click.IntRange(0),
    help="Name so many of the prompts with torch and with each file; 0: none.",
)
@click.option(
    "--least-agree", default=0.95, type=click.FloatRange(0, 1), help="Exit 1 where a smaller share of the names agrees."
)
@click.option("--threads", default=1, type=click.IntRange(1), help="For naming.")
def main(
    *, student_dir: Path, tokenizer: Path | None, form: str, kinds: tuple[str, ...], out: Path, prompts: Path,
    compare: int, least_agree: float, threads: int,
) -> None:  # fmt: skip
    """Write OUT/branch-name-generator-<type>.gguf for each --type, or OUT/branch-name-generator-int8.onnx."""
    from training import agreement

    tokenizer = tokenizer or student_dir / TOKENIZER
    texts = agreement.spread(prompts, compare) if compare else []
    model = LlamaFolder(student_dir)
    check_tokenizer(tokenizer, model.shape.tokens)
    out.mkdir(parents=True, exist_ok=True)
    try:
        if form == "onnx" and (has_encoder(student_dir) or model.shape.pointer):
            raise click.ClickException(
                f"{student_dir} reads through an encoder or copies: only --format gguf holds that"
            )
        if has_encoder(student_dir):
            files = write_pairs(student_dir, tokenizer, out, kinds, texts)
        elif form == "onnx":
            from training.export_onnx import write_int8

            files = {"int8": out / f"{NAME}-int8.onnx"}
            write_int8(model, files["int8"])
        else:
            files = write_gguf(model, tokenizer, out, kinds, texts)
        copy_tokenizer(tokenizer, out)
        agree = agreement.measure(student_dir, tokenizer, files, texts, threads=threads) if texts else {}
    except ModelError as error:
        raise click.ClickException(f"{student_dir}: {error}") from error
    files_of = models.parts if form == "gguf" else lambda path: (path,)
    report("export_gguf", format=form, compared=len(texts), files={
        kind: {"path": str(path), "bytes": sum(part.stat().st_size for part in files_of(path) if part),
               "sha256": sha256(path), "agree": agree.get(kind)}
        for kind, path in files.items()})  # fmt: skip
    if poor := [f"{kind} ({share:.1%})" for kind, share in agree.items() if share < least_agree]:
        raise click.ClickException(
            f"{', '.join(poor)} agrees with torch on fewer than {least_agree:.0%} of {len(texts)} names; "
            "use a type with more bits, or train on"
        )


if __name__ == "__main__":
    main()
