"""Models of Hugging Face as model directories, piece by piece: nothing is ever whole in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.checkpoints import mapping, model_directory, source, tensors
from fewvid.checkpoints.families import decoders, encoders, llava, llava_onevision, preprocessing
from fewvid.checkpoints.mapping import Layout, Shape
from fewvid.checkpoints.tensors import Tensor, TensorFiles
from fewvid.data.chat_template import shown_by
from fewvid.data.tokenizer import VISUAL, VISUALS
from fewvid.errors import UserError
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
    visual_tokens_per_frame,
)
from fewvid.parallel.paths import flatten

TEXT_TOWERS = ("clip", "siglip")  # a tower of text beside that of vision
ENCODERS = (*encoders.CLASSES, *TEXT_TOWERS)
DECODERS = tuple(decoders.CLASSES)
FAMILIES = {family.TYPE: family for family in (llava, llava_onevision)}
WHOLE = tuple(FAMILIES)
OWN = "adapter"  # the folder that `exporting` writes beside an encoder and an LLM
FRAMES = 8  # of a video, where they fit
NO_TEMPLATE = (
    "It brings no chat template with a place for a picture: it is asked in fewvid's own format, "
    "which it has not been trained in."
)
ROUND = 64  # a vocabulary that has to grow grows to a multiple of this


@dataclass(frozen=True)
class Imported:
    """What a model directory is written from. notes: what a user should know of the import."""

    config: LvlmConfig
    tensors: Mapping[str, Tensor]
    tokenizer: Any
    origin: str
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames to look at where nobody says: they take half of what can be read."""
        room = self.config.decoder.max_length // 2 - self.config.adapter.newline
        return max(1, min(FRAMES, room // visual_tokens_per_frame(self.config)))

    def save(self, directory: Path) -> Path:
        """Writes the model directory; an array keeps the type that it came in."""

        def write(beside: Path) -> None:
            tensors.write(beside, self.tensors, shard_bytes=model_directory.SHARD_BYTES)

        card = "\n".join([f"# {directory.name}\n", f"Imported from {self.origin}.", *self.notes])
        return model_directory.compose(
            directory,
            config=self.config,
            weights_to=write,
            tokenizer=self.tokenizer,
            card=f"{card}\n",
            frames=self.frames,
        )


def whole(name: str) -> Imported:
    """A model that is whole: LLaVA, LLaVA-OneVision, or what `exporting` made of a fewvid model.

    Raises UserError for anything else, and for weights that do not fit.
    """
    folder = source.folder_of(name)
    if (folder / OWN / "config.json").is_file():
        return _own(folder)
    kind = source.model_type(folder, (*WHOLE, *ENCODERS, *DECODERS))
    if kind not in WHOLE:
        part = "a language model" if kind in DECODERS else "an encoder"
        raise UserError(
            f"{folder} holds {part} alone ({kind}); give both parts: "
            "convert import --encoder A --llm B --out D"
        )
    hf, family = source.read_config(folder), FAMILIES[kind]
    tower = hf.vision_config
    _check_tower(folder, tower.model_type)
    config = family.read_config(hf, family.read_preparation(folder, tower))
    layout = family.layout(config, tower.num_hidden_layers)
    wanted = shapes(config)
    theirs = {path: shape for path, shape in wanted.items() if path not in family.FRESH}
    found = mapping.read(TensorFiles(folder), family.ROWS, layout, theirs)
    for path in family.FRESH:
        found[path] = Tensor.of(np.zeros(wanted[path], np.float32))
    tokenizer = source.read_tokenizer(folder)
    _check_visual(folder, tokenizer, family.TOKENS)
    notes = (*_left_out(config.encoder, tower.num_hidden_layers), *family.NOTES)
    if not shown_by(tokenizer):
        notes += (NO_TEMPLATE,)
    return Imported(config, found, tokenizer, f"{name} ({kind})", notes)


def from_parts(
    encoder: str, llm: str, adapter: AdapterConfig | None = None, seed: int = 0
) -> Imported:
    """A model of an encoder and a language model, with a fresh adapter between them.

    adapter: its width and heads are the encoder's where it is None. Raises UserError.
    """
    a, b = source.folder_of(encoder), source.folder_of(llm)
    seeing, found, left_out = vision_tower(a)
    reading, words = language_model(b)
    found |= words
    adapter = adapter or AdapterConfig("tokens", 1, seeing.width, seeing.heads)
    config = LvlmConfig(seeing, SamplerConfig(), adapter, reading)
    tokenizer = source.read_tokenizer(b)
    size = _with_visual(tokenizer)
    if size > reading.vocab_size:
        size = -(-size // ROUND) * ROUND
        config = dataclasses.replace(config, decoder=dataclasses.replace(reading, vocab_size=size))
        for path, axis in (("decoder/embedding", 0), ("decoder/head", 1)):
            if path in found:
                found[path] = _grown(found[path], axis, size)
    found |= fresh_adapter(config, seed)
    notes = (*left_out, "Its adapter is fresh: train it before asking anything.")
    return Imported(config, found, tokenizer, f"{encoder} and {llm}", notes)


def vision_tower(folder: Path) -> tuple[EncoderConfig, dict[str, Tensor], tuple[str, ...]]:
    """The encoder in a folder of CLIP or SigLIP: its sizes, its tensors by path, and notes."""
    source.model_type(folder, ENCODERS)
    hf = encoders.tower_of(source.read_config(folder))
    pictures = preprocessing.read(folder, hf.model_type, hf.image_size)
    config = encoders.read_config(hf, pictures)
    layout = encoders.layout(config, hf.num_hidden_layers)
    wanted = shapes(dataclasses.replace(LvlmConfig.tiny(), encoder=config))
    found = _part(folder, "encoder", encoders.ROWS, layout, wanted)
    return config, found, _left_out(config, hf.num_hidden_layers)


def language_model(folder: Path) -> tuple[DecoderConfig, dict[str, Tensor]]:
    """The decoder in a folder of a language model: its sizes, and its tensors by path."""
    source.model_type(folder, DECODERS)
    config = decoders.read_config(source.read_config(folder))
    wanted = shapes(dataclasses.replace(LvlmConfig.tiny(), decoder=config))
    return config, _part(folder, "decoder", decoders.ROWS, decoders.layout(config), wanted)


def shapes(config: LvlmConfig) -> dict[str, Shape]:
    """The shape of every parameter by path; nothing is allocated."""
    import jax

    from fewvid.models import lvlm

    leaves = flatten(jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0))))
    return {path: tuple(leaf.shape) for path, leaf in leaves.items()}


def fresh_adapter(config: LvlmConfig, seed: int) -> dict[str, Tensor]:
    """Random parameters of the adapter, float32."""
    import jax

    from fewvid.models import lvlm

    # an adapter hangs on the widths of its neighbours alone, so those may be small
    encoder = dataclasses.replace(config.encoder, depth=1, mlp_width=1)
    decoder = dataclasses.replace(config.decoder, depth=1, mlp_width=1, vocab_size=8)
    small = dataclasses.replace(config, encoder=encoder, decoder=decoder)
    init = jax.jit(lambda key: lvlm.init(small, key)["adapter"])
    leaves = flatten({"adapter": init(jax.random.key(seed))})
    return {path: Tensor.of(np.asarray(leaf)) for path, leaf in leaves.items()}


def _own(folder: Path) -> Imported:
    """The parts that `exporting` wrote, put together again."""
    own = folder / OWN
    config = model_directory.read_config(own)
    wanted = shapes(config)
    found = dict(TensorFiles(own))
    if (folder / "encoder").is_dir():
        layout = encoders.layout(config.encoder, config.encoder.depth)
        found |= _part(folder / "encoder", "encoder", encoders.ROWS, layout, wanted)
    if (folder / "llm").is_dir():
        layout = decoders.layout(config.decoder)
        found |= _part(folder / "llm", "decoder", decoders.ROWS, layout, wanted)
    wrong = sorted(wanted.keys() ^ found.keys()) + sorted(
        path for path in wanted.keys() & found.keys() if found[path].shape != wanted[path]
    )
    if wrong:
        raise UserError(f"{folder} does not fit its {OWN}/config.json: {', '.join(wrong)}")
    return Imported(config, found, source.read_tokenizer(own), str(folder))


def _part(
    folder: Path, part: str, rows: Any, layout: Layout, wanted: Mapping[str, Shape]
) -> dict[str, Tensor]:
    own = {path: shape for path, shape in wanted.items() if path.startswith(f"{part}/")}
    return mapping.read(TensorFiles(folder), rows, layout, own)


def _left_out(config: EncoderConfig, layers: int) -> tuple[str, ...]:
    """What is said of layers that the model does not read."""
    used = config.depth
    if used == layers:
        return ()
    return (f"Of the {layers} layers of its vision tower, those behind layer {used} are left out.",)


def _check_tower(folder: Path, kind: str) -> None:
    if kind not in encoders.CLASSES:
        raise UserError(
            f"the vision tower in {folder} is a {kind!r}, and fewvid has "
            f"{', '.join(encoders.CLASSES)}"
        )


def _check_visual(folder: Path, tokenizer: Any, needed: tuple[str, ...]) -> None:
    vocab = tokenizer.get_vocab()
    if not set(VISUALS) & vocab.keys():
        raise UserError(f"the tokenizer of {folder} has none of the tokens {', '.join(VISUALS)}")
    for name in needed:
        if name not in vocab:
            raise UserError(f"the tokenizer of {folder} has no token {name}")


def _with_visual(tokenizer: Any) -> int:
    """Gives the tokenizer a placeholder for visual tokens if it has none; how many ids it has."""
    if not set(VISUALS) & tokenizer.get_vocab().keys():
        tokenizer.add_tokens([VISUAL], special_tokens=True)
    return len(tokenizer)


def _grown(tensor: Tensor, axis: int, size: int) -> Tensor:
    """The same with new words along an axis: each is the mean of those that were there."""
    shape = (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :])

    def pieces() -> Iterator[np.ndarray]:
        old = np.concatenate(list(tensor.pieces()))
        mean = old.mean(axis, keepdims=True, dtype=np.float32).astype(old.dtype)
        yield np.concatenate([old, np.repeat(mean, size - tensor.shape[axis], axis)], axis)

    return Tensor(shape, tensor.dtype, pieces)
