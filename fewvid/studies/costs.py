"""What a question costs by part: operations counted from shapes, and times measured."""

from __future__ import annotations

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.inference import parts
from fewvid.models import flops
from fewvid.models.config import candidates, visual_tokens
from fewvid.studies.base import Base
from fewvid.studies.config import CellConfig, StudyConfig
from fewvid.studies.plans import model_of

TEXT = 16  # ids of a question with what stands around it
CLIPS = {"cpu": 4, "gpu": 32, "tpu": 32}  # at once: enough to fill the device
REPEATS = 7


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    """By cell: `flops` and `seconds` a clip, by part; cells that cost alike share theirs.

    seconds are medians of calls with `clips_at_once` in `dtype`, quartiles the 25th and 75th per
    cent of them.
    """
    known: dict[Any, dict[str, Any]] = {}
    encoded: dict[int, Any] = {}  # by frames: the encoder does the same whatever K is
    found = {}
    for cell in study.cells:
        key = (repr(model_of(cell, base.config)), cell.keep, cell.frames)
        if key not in known:
            known[key] = _measure(cell, base, jnp.dtype(study.scale.dtype), encoded)
        found[cell.name] = known[key]
    return found


def _measure(cell: CellConfig, base: Base, dtype: Any, encoded: dict[int, Any]) -> dict[str, Any]:
    """Costs of one cell; what the encoder took, and made, is put into `encoded` and found there."""
    config, frames, keep = model_of(cell, base.config), cell.frames, cell.keep
    clips = CLIPS.get(jax.devices()[0].platform, 4)
    params = {**base.params}
    if config.adapter != base.config.adapter:
        from fewvid.models import lvlm

        params["adapter"] = lvlm.init(config, jax.random.key(0))["adapter"]
    size = config.encoder.image_size
    shape = (clips, frames, size, size, 3)
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, shape), jnp.uint8)
    times = jnp.broadcast_to(jnp.arange(frames, dtype=jnp.float32) / 4, (clips, frames))
    rng = jax.random.key(0)
    visual = visual_tokens(config, frames, keep)
    tokens = jnp.full((clips, visual + TEXT), 5, jnp.int32).at[:, :visual].set(base.chat.visual)
    last = jnp.full((clips,), visual + TEXT - 1)
    seconds, quartiles = {}, {}

    def timed(part: str, function: Any, *arguments: Any, **static: Any) -> Any:
        run = function.lower(*arguments, **static, dtype=dtype).compile()
        result = jax.block_until_ready(run(*arguments))
        taken = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            jax.block_until_ready(run(*arguments))
            taken.append(time.perf_counter() - started)
        low, middle, high = (value / clips for value in statistics.quantiles(taken, n=4))
        seconds[part], quartiles[part] = middle, [low, high]
        return result

    if frames not in encoded:
        made = timed("encoder", parts.encode, params, pixels, config=config)
        encoded[frames] = made, seconds["encoder"], quartiles["encoder"]
    features, seconds["encoder"], quartiles["encoder"] = encoded[frames]
    chosen = None
    if keep < candidates(config):
        static = {"config": config, "keep": keep, "sampler": cell.sampler}
        chosen, _ = timed("sampler", parts.select, params, features, times, rng, **static)
    shown = timed("adapter", parts.adapt, params, features, times, chosen, config=config)
    arguments = (params, shown, tokens, last, jnp.int32(base.chat.visual))
    timed("decoder", parts.read, *arguments, config=config, length=tokens.shape[1])
    seconds.setdefault("sampler", 0.0)
    return {
        "flops": flops.clip(config, keep, cell.sampler, frames, TEXT),
        "seconds": seconds,
        "quartiles": quartiles,
        "dtype": dtype.name,
        "visual_tokens": visual,
        "clips_at_once": clips,
    }
