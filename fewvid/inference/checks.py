"""What a model can be asked, checked before it is at work: by the commands and by the methods.

Flags are named as the command line writes them; the methods' keywords are the same words.
Nothing here imports jax unless a sampler is named, so that a mistake is said at once.
"""

from __future__ import annotations

import math
import operator
from typing import Any, Literal

import numpy as np

from fewvid.data.clip import Clip
from fewvid.errors import MOST_SEED, UserError
from fewvid.models.config import LvlmConfig, candidates, kept_tokens, of_picture, visual_tokens
from fewvid.models.tiling import Tiling, tiling

Keep = int | Literal["auto"] | None  # K, or what `samplers.auto_keep` says, or the model's own
AUTO = "auto"


def config_for(config: LvlmConfig, clip: Clip) -> LvlmConfig:
    """What the model is to a clip: a still picture is not pooled as the frames of a video are."""
    return of_picture(config) if clip.is_picture else config


def tiling_for(config: LvlmConfig, clip: Clip) -> Tiling | None:
    """The tiles in which the model reads a still picture; None for a video, or where it has none.

    A picture that has been brought to a frame before (`decode_video` of a size, without `whole`)
    is cut as the square that it is.
    """
    if not (clip.is_picture and config.adapter.tiles):
        return None
    _, height, width, _ = clip.frames.shape
    return tiling(height, width, config.encoder, config.adapter)


def check_looking(
    config: LvlmConfig, frames: Any, keep: Any, sampler: Any = None, seed: Any = 0
) -> None:
    """Raises UserError for what cannot say how to look at a clip; None is a default.

    frames: 1 or more; keep: 1 to N of this model, or "auto"; sampler: a name; seed: see
    `check_answering`.
    """
    if frames is not None:
        _whole("--frames", frames, 1)
    if keep != AUTO:
        if keep is not None:
            _whole("--keep", keep, None, or_else=f" or {AUTO!r}")
        kept_tokens(of_picture(config), keep)  # the most there may be: nobody has looked yet
    _whole("--seed", seed, 0, MOST_SEED)
    if sampler is not None:
        from fewvid import samplers

        samplers.find(str(sampler))


def check_answering(temperature: Any, max_tokens: Any, seed: Any = 0) -> None:
    """Raises UserError for a temperature below 0 or not finite, or no room for an answer."""
    try:
        fine = 0 <= float(temperature) < math.inf
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise UserError(f"--temperature must be a number, 0 or more, got {temperature}")
    _whole("--max-tokens", max_tokens, 1)
    _whole("--seed", seed, 0, MOST_SEED)


def check_question(question: Any) -> None:
    """Raises UserError where there is no question: a model answers that with anything."""
    if not isinstance(question, str):
        raise UserError(f"the question must be text, got {question!r}")
    if not question.strip():
        raise UserError("the question is empty; ask something, such as 'How many are there?'")


def check_asked(config: LvlmConfig, keep: Any, sampler: Any, question: Any) -> None:
    """Raises UserError where the sampler is to choose by a question and there is none."""
    if question is not None:
        check_question(question)
        return
    from fewvid import samplers

    name = sampler or config.sampler.name
    if samplers.asks(name) and kept_tokens(config, keep) < candidates(config):
        raise UserError(no_question(name))


def no_question(sampler: str) -> str:
    """What is said where a sampler that chooses by the question has none."""
    return (
        f"the sampler {sampler!r} chooses by the question and was given none; give --question "
        "(in Python: question), or use --sampler maxmin, which chooses without"
    )


def check_rows(
    config: LvlmConfig,
    visual_id: int,
    tokens: np.ndarray,
    pixels: Any,
    times: Any,
) -> None:
    """Raises UserError for rows that `Model.forward` would read wrongly without a word.

    tokens int[B,L], ids below the vocabulary's size, with as many `visual_id` in each row as its
    frames give visual tokens; pixels [B,T,H,W,3] of the encoder's size, or None; times [B,T].
    """
    size, most = config.decoder.vocab_size, config.decoder.max_length
    if tokens.ndim != 2 or not tokens.size or not np.issubdtype(tokens.dtype, np.integer):
        raise UserError(
            f"tokens must be whole numbers [B,L], got {tokens.dtype}{list(tokens.shape)}"
        )
    if tokens.shape[1] > most:
        raise UserError(f"rows of {tokens.shape[1]} tokens exceed the {most} that the model reads")
    if tokens.min() < 0 or tokens.max() >= size:
        wrong = tokens[(tokens < 0) | (tokens >= size)][0]
        raise UserError(f"token id {wrong} is not in the vocabulary; wanted 0 to {size - 1}")
    frames = 0
    if pixels is not None:
        side = config.encoder.image_size
        shape = tuple(pixels.shape)
        if len(shape) != 5 or shape[0] != len(tokens) or shape[2:] != (side, side, 3):
            raise UserError(
                f"pixels must be [{len(tokens)},T,{side},{side},3], got {list(shape)}; "
                "fewvid.data.images.resize makes frames that size"
            )
        frames = shape[1]
        if times is not None and tuple(np.shape(times)) != shape[:2]:
            raise UserError(f"times must be {list(shape[:2])}, got {list(np.shape(times))}")
    wanted = visual_tokens(config, frames)
    found = (tokens == visual_id).sum(axis=1)
    if (found != wanted).any():
        row = int(np.argmax(found != wanted))
        raise UserError(
            f"row {row} has {found[row]} placeholders (id {visual_id}) for {wanted} visual tokens "
            f"of {frames} frames; chat.prefix_ids({wanted}) writes them"
        )


def _whole(
    flag: str, value: Any, least: int | None, most: int | None = None, or_else: str = ""
) -> None:
    """Raises UserError where `value` is no whole number, or none of the range."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    low = -math.inf if least is None else least
    high = math.inf if most is None else most
    if number is None or not low <= number <= high:
        above = "" if least is None else f", {least} or more"
        span = above if most is None else f", {least} to {most}"
        raise UserError(f"{flag} must be a whole number{span}{or_else}, got {value!r}")
