"""A model directory as a folder that transformers loads, layer by layer.

A model with LLaVA's projector becomes a `LlavaForConditionalGeneration`, or where it pools a
`LlavaOnevisionForConditionalGeneration`. Of any other the LLM and the encoder are written as the
classes that they are, and what no class has stays as it is:

    OUT/encoder   CLIPVisionModel or SiglipVisionModel (where the encoder is one)
    OUT/llm       LlamaForCausalLM, ... with the tokenizer
    OUT/adapter   the rest, in fewvid's own names, and the config of the whole
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.checkpoints import mapping, model_directory, tensors
from fewvid.checkpoints.families import decoders, encoders, llava, llava_onevision, preprocessing
from fewvid.checkpoints.importing import OWN
from fewvid.checkpoints.lora import ModelFiles
from fewvid.checkpoints.tensors import Tensor
from fewvid.errors import UserError
from fewvid.models.config import LvlmConfig


def export(model: str, out: Path) -> str:
    """Writes the folder, beside its place first; returns in words what it holds.

    Raises UserError where OUT is there already, or no language model of transformers has what the
    decoder has.
    """
    if out.exists():
        raise UserError(f"{out} is there already; remove it or give another --out")
    directory = model_directory.resolve(model)
    config, ours = model_directory.read_config(directory), ModelFiles(directory)
    tokenizer = model_directory.load_tokenizer(directory)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=_parent(out)))
    try:
        family = family_of(config)
        why = why_not(family, config, ours, tokenizer)
        if why:
            said = f"{_parts(beside, config, ours, tokenizer, directory)} (no LLaVA: {why})"
        else:
            said = _whole(family, beside, config, ours, tokenizer)
        beside.chmod(0o755)
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return said


def family_of(config: LvlmConfig) -> Any:
    """The module of the LLaVA that this model is, if it is one."""
    return llava_onevision if config.adapter.pool else llava


def why_not(family: Any, config: LvlmConfig, ours: ModelFiles, tokenizer: Any) -> str:
    """Why no LLaVA computes what this model does; "" where one does."""
    try:
        family.write_config(config)
    except UserError as error:
        return str(error)
    vocab = tokenizer.get_vocab()
    if lacks := [name for name in family.TOKENS if name not in vocab]:
        return f"the tokenizer has no {' and no '.join(lacks)}"
    learned = [path for path in family.FRESH if any(np.any(p) for p in ours[path].pieces())]
    return f"LLaVA has no place for {', '.join(learned)}, which is trained" if learned else ""


def _whole(family: Any, folder: Path, config: LvlmConfig, ours: ModelFiles, tokenizer: Any) -> str:
    found = mapping.write_names(ours, family.ROWS, family.name_of)
    found |= _unread_norm(config, ours, family.name_of)
    values = family.write_config(config) | family.tokens(tokenizer) | _specials(tokenizer)
    _write(folder, values, found, ours)
    family.write_processors(folder, config, tokenizer)
    tokenizer.save_pretrained(str(folder))
    return family.CLASS


def _parts(
    folder: Path, config: LvlmConfig, ours: ModelFiles, tokenizer: Any, directory: Path
) -> str:
    said, written = [], ["decoder/"]
    llm = folder / "llm"
    llm.mkdir()
    values = decoders.write_config(config.decoder) | _specials(tokenizer)
    _write(llm, values, mapping.write_names(ours, decoders.ROWS, decoders.alone), ours)
    tokenizer.save_pretrained(str(llm))
    said.append(f"llm ({values['architectures'][0]})")
    try:
        values = encoders.write_config(config.encoder)
    except UserError:  # then it stays with the rest
        pass
    else:
        tower = folder / "encoder"
        tower.mkdir()
        found = mapping.write_names(ours, encoders.ROWS, encoders.alone)
        found |= _unread_norm(config, ours, encoders.alone)
        _write(tower, values, found, ours)
        preprocessing.write(tower, config.encoder, values["model_type"])
        said.append(f"encoder ({values['architectures'][0]})")
        written.append("encoder/")
    rest = {path: t for path, t in ours.items() if not path.startswith(tuple(written))}
    own = folder / OWN
    own.mkdir()
    tensors.write(own, rest, shard_bytes=model_directory.SHARD_BYTES)
    shutil.copy(directory / "config.json", own)
    shutil.copy(directory / "preprocessor.json", own)
    tokenizer.save_pretrained(str(own))
    return ", ".join([*said, "adapter (fewvid's own names)"])


def _unread_norm(
    config: LvlmConfig, ours: ModelFiles, name_of: Callable[[str], str]
) -> dict[str, Tensor]:
    """The norm that their towers have behind the tokens, as one that does nothing."""
    if config.encoder.post_norm:
        return {}
    kind, width = ours["encoder/patch/kernel"].dtype, config.encoder.width
    values = {"weight": np.ones(width), "bias": np.zeros(width)}
    return {
        name_of(f"encoder.post_layernorm.{name}"): Tensor.of(value.astype(kind))
        for name, value in values.items()
    }


def _write(
    folder: Path, values: dict[str, Any], found: Mapping[str, Tensor], ours: ModelFiles
) -> None:
    kind = ours["decoder/embedding"].dtype.name
    _write_json(folder / "config.json", values | {"dtype": kind})
    tensors.write(folder, found, shard_bytes=model_directory.SHARD_BYTES, framework="pt")


def _write_json(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _specials(tokenizer: Any) -> dict[str, Any]:
    """The ids of special tokens, as their config.json has them."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(tokenizer, name) for name in names}


def _parent(out: Path) -> Path:
    parent = out.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    return parent
