"""How far a model directory is from the model of transformers that it came from or went to.

Both read the same pictures and ids, both in float32 on the CPU, or both in bfloat16 where JAX runs.
Theirs runs in torch, which is reached through transformers alone: fewvid itself never imports it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.checkpoints import importing, model_directory, source
from fewvid.checkpoints.families import decoders, encoders
from fewvid.checkpoints.theirs import How, Said, Theirs
from fewvid.errors import UserError
from fewvid.models.config import EncoderConfig, LvlmConfig, candidates, of_picture, visual_tokens
from fewvid.models.tiling import tiling

ROWS, FRAMES = 2, 2  # rows of ids, and pictures, that are compared
LOGITS = attrgetter("logits")


@dataclass(frozen=True)
class Agreement:
    """what: which logits, or `tokens of the encoder`; largest: the largest difference of one.

    spread: their standard deviation, to see it beside. kl: of the next-token distributions, the
    mean over positions, in nats; None where there are no logits. rounding: of what 16 bits make of
    it, how far theirs and ours are from theirs in float32, as kl, or as largest where there is
    none; None where float32 is compared.
    """

    what: str
    largest: float
    spread: float
    kl: float | None = None
    rounding: tuple[float, float] | None = None

    def __str__(self) -> str:
        text = (
            f"{self.what}: largest difference {self.largest:.2e} (their spread {self.spread:.2g})"
        )
        if self.kl is not None:
            text += f", KL of the next token {self.kl:.2e} nats"
        if self.rounding is None:
            return text
        theirs, ours = self.rounding
        return f"{text}; from theirs in float32, theirs is {theirs:.2e} and ours {ours:.2e}"


@dataclass(frozen=True)
class Ours:
    """Our side of a comparison, and what both sides are given: `length` ids a row, of `rng`."""

    config: LvlmConfig
    params: Any
    rng: np.random.Generator
    how: How
    length: int

    def ids(self, rows: int, visual: int = -1, count: int = 0) -> np.ndarray:
        """int[rows,length + count]: ids, and after the first one `count` placeholders `visual`."""
        shape = (rows, self.length + count)
        ids = self.rng.integers(0, self.config.decoder.vocab_size - 1, shape)
        ids += ids >= visual if count else 0
        ids[:, 1 : 1 + count] = visual
        return ids

    def pixels(self, *shape: int) -> np.ndarray:
        """uint8[*shape,S,S,3], random."""
        side = self.config.encoder.image_size
        return self.rng.integers(0, 256, (*shape, side, side, 3), np.uint8)


def compare(
    model: str, against: str, length: int = 32, seed: int = 0, dtype: str = "float32"
) -> list[Agreement]:
    """One Agreement for a LLaVA, an LLM or an encoder; two for a folder of `convert export`.

    A LLaVA is compared over pictures; a LLaVA-OneVision over videos of `FRAMES` frames, and once
    more over a picture in tiles, where our model has them.

    length: ids of a row; dtype: float32 or bfloat16, see `How`. Raises UserError where torch is
    missing or the two cannot be compared.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError("convert verify needs torch: pip install -r requirements-parity.txt")
    directory, folder = model_directory.resolve(model), source.folder_of(against)
    config, params = model_directory.load_weights(directory)
    how = How.of(dtype)
    ours = Ours(config, how.placed(params), np.random.default_rng(seed), how, length)
    if (folder / importing.OWN / "config.json").is_file():
        found = [_llm(folder / "llm", ours)]
        if (folder / "encoder").is_dir():
            found.append(_encoder(folder / "encoder", ours))
        return found
    known = (*importing.WHOLE, *importing.ENCODERS, *importing.DECODERS)
    kind = source.model_type(folder, known)
    if kind in importing.ENCODERS:
        return [_encoder(folder, ours)]
    if kind in importing.DECODERS:
        return [_llm(folder, ours)]
    return _llava(importing.FAMILIES[kind], folder, ours)


def _llava(family: Any, folder: Path, ours: Ours) -> list[Agreement]:
    config = ours.config
    if config.adapter.queries != "projector":
        raise UserError(
            f"{folder} is a LLaVA, with a projector; the model's adapter.queries is "
            f"{config.adapter.queries!r}: compare its parts with an encoder or a language model"
        )
    try:
        family.write_config(config)
    except UserError as error:
        raise UserError(f"{folder} is a {family.TYPE}, the model is none: {error}") from error
    theirs = Theirs.load(folder, family.CLASS, ours.how)
    if not config.adapter.pool:
        return [_frames(theirs, ours, 1, "logits")]
    found = [_frames(theirs, ours, FRAMES, "logits of videos")]
    return [*found, _in_tiles(theirs, ours)] if config.adapter.tiles else found


def _frames(theirs: Theirs, ours: Ours, frames: int, what: str) -> Agreement:
    """Over videos where the model pools, over pictures where it does not."""
    config, video, named = ours.config, ours.config.adapter.pool, theirs.model.config
    visual = int(named.video_token_index if video else named.image_token_index)
    ids = ours.ids(ROWS, visual, visual_tokens(config, frames, candidates(config)))
    pixels = ours.pixels(ROWS, frames)
    seen = _normalised(pixels.reshape(-1, *pixels.shape[2:]), config.encoder)
    name = "pixel_values_videos" if video else "pixel_values"
    seen = seen.reshape(ROWS, frames, *seen.shape[1:]) if video else seen
    wanted = theirs.say({"input_ids": ids, name: seen}, LOGITS)
    times = np.tile(np.arange(frames, dtype=np.float32), (ROWS, 1))
    batch = _batch(ids) | {"pixels": pixels, "times": times}
    return _of_logits(_logits(ours, batch, visual), wanted, what)


def _in_tiles(theirs: Theirs, ours: Ours) -> Agreement:
    """Over one picture of an odd shape, whole and in tiles, every token of a view kept."""
    import jax
    import jax.numpy as jnp

    from fewvid.models import lvlm, tiles

    config, how = of_picture(ours.config), ours.how
    side, visual = config.encoder.image_size, int(theirs.model.config.image_token_index)
    height, width = side * 5 // 4, side * 7 // 4
    cut = tiling(height, width, config.encoder, config.adapter)
    ids, views = ours.ids(1, visual, cut.tokens), ours.pixels(cut.views, 1)
    given = {"input_ids": ids, "pixel_values": _normalised(views[:, 0], config.encoder)[None]}
    wanted = theirs.say(given | {"image_sizes": np.array([[height, width]])}, LOGITS)

    def run(params: Any, views: Any, ids: Any, table: Any) -> Any:
        features = lvlm.encode(config, params, views, dtype=how.dtype)
        times = jnp.zeros((cut.views, 1))
        seen = lvlm.see(config, params, features, times, keep=candidates(config), dtype=how.dtype)
        row = tiles.pack(seen.tokens, params["adapter"]["newline"], table)
        module = lvlm.Lvlm(config, how.dtype)
        at = np.arange(ids.shape[1])[None]
        inputs = (row, ids, at, None, ids == visual, None)
        hidden: Any = module.apply({"params": params}, *inputs, method="read")
        return lvlm.logits(config, params, hidden[0], how.dtype)

    found = jax.jit(run)(ours.params, *how.placed((views, ids, tiles.table(cut))))
    return _of_logits(np.asarray(found), wanted, "logits of a picture in tiles")


def _llm(folder: Path, ours: Ours) -> Agreement:
    kind = source.model_type(folder, importing.DECODERS)
    theirs = Theirs.load(folder, decoders.CLASSES[kind], ours.how)
    most = min(ours.config.decoder.vocab_size, theirs.model.config.vocab_size)
    ids = ours.rng.integers(0, most, (ROWS, ours.length))
    wanted = theirs.say({"input_ids": ids}, LOGITS)
    return _of_logits(_logits(ours, _batch(ids), -1), wanted, "logits")


def _encoder(folder: Path, ours: Ours) -> Agreement:
    import jax

    from fewvid.models import lvlm

    how, c = ours.how, ours.config.encoder
    tower = encoders.tower_of(source.read_config(folder))
    theirs = Theirs.load(folder, encoders.CLASSES[tower.model_type], how)
    pixels = ours.pixels(1, FRAMES)
    encode = jax.jit(partial(lvlm.encode, ours.config, dtype=how.dtype))
    found = encode(ours.params, ours.how.placed(pixels)).tokens[0].astype(np.float32)

    def tokens(out: Any) -> Any:
        return out.last_hidden_state if c.post_norm else out.hidden_states[c.depth]

    given = {"pixel_values": _normalised(pixels[0], c)}
    wanted = theirs.say(given, tokens, output_hidden_states=True)
    wanted = wanted.only(np.s_[:, int(c.cls_token) :])
    return _agreement("tokens of the encoder", np.asarray(found), wanted)


def _logits(ours: Ours, batch: Mapping[str, Any], visual: int) -> np.ndarray:
    """float32[B,L,V] of whole rows, with every token of a frame kept."""
    import jax

    from fewvid.models import lvlm

    options: dict[str, Any] = {"keep": candidates(ours.config), "visual_id": visual}
    options |= {"dtype": ours.how.dtype, "packed": False}
    run: Callable[..., Any] = partial(lvlm.answer_logits, ours.config, **options)
    return np.asarray(jax.jit(run)(ours.params, ours.how.placed(dict(batch))))


def _batch(ids: np.ndarray) -> dict[str, np.ndarray]:
    at = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    return {
        "tokens": ids,
        "segments": np.ones_like(ids),
        "positions": at,
        "answer_positions": at,
    }


def _normalised(pixels: np.ndarray, c: EncoderConfig) -> np.ndarray:
    """uint8[F,H,W,3] -> float32[F,3,H,W], as their image processor does it."""
    x = (pixels / 255 - np.array(c.mean)) / np.array(c.std)
    return x.transpose(0, 3, 1, 2).astype(np.float32)


def _of_logits(found: np.ndarray, wanted: Said, what: str) -> Agreement:
    # A vocabulary may have grown on its way.
    both = np.s_[..., : min(found.shape[-1], wanted.theirs.shape[-1])]
    return _agreement(what, found[both], wanted.only(both), _kl)


def _agreement(
    what: str,
    found: np.ndarray,
    wanted: Said,
    kl: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> Agreement:
    theirs, exact = wanted.theirs, wanted.exact
    if found.shape != theirs.shape:
        raise UserError(f"{what} are {found.shape}, theirs {theirs.shape}: two different models")
    far = kl or _largest
    return Agreement(
        what,
        _largest(theirs, found),
        float(theirs.std()),
        None if kl is None else kl(theirs, found),
        None if exact is None else (far(exact, theirs), far(exact, found)),
    )


def _largest(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(found - wanted).max())


def _kl(wanted: np.ndarray, found: np.ndarray) -> float:
    p, q = (_log_softmax(x.astype(np.float64)) for x in (wanted, found))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
