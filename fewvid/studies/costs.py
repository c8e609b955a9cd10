"""What a question costs by part: operations counted from shapes, and times measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from fewvid.inference import parts
from fewvid.models import flops, lvlm
from fewvid.models.config import candidates, visual_tokens
from fewvid.studies.base import Base
from fewvid.studies.compiling import Compiled, do_all
from fewvid.studies.config import CellConfig, StudyConfig
from fewvid.studies.plans import model_of

TEXT = 16  # ids of a question with what stands around it
CLIPS = {"cpu": 4, "gpu": 32, "tpu": 32}  # at once: enough to fill the device
REPEATS = 7
# (part, its function, what it is called with) -> what it returns, or the shapes of that
Call = Callable[..., Any]


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    """By cell: `flops` and `seconds` a clip, by part; cells that cost alike share theirs.

    seconds are medians of calls with `clips_at_once` in `dtype`, quartiles the 25th and 75th per
    cent of them. All programs are compiled side by side before the first is timed.
    """
    alike = {_key(cell, base): cell for cell in study.cells}
    watch = Watch(jnp.dtype(study.scale.dtype))
    for cell in alike.values():
        _ask(cell, base, jax.eval_shape(partial(_inputs, cell, base)), watch.note)
    do_all(watch.jobs)
    found = {}
    for key, cell in alike.items():
        times: dict[str, list[float]] = {"sampler": [0.0] * 3}
        _ask(cell, base, _inputs(cell, base), partial(watch.time, times))
        config, clips = model_of(cell, base.config), _clips()
        found[key] = {
            "flops": flops.clip(config, cell.keep, cell.sampler, cell.frames, TEXT),
            "seconds": {part: middle / clips for part, (_, middle, _) in times.items()},
            "quartiles": {
                part: [low / clips, high / clips] for part, (low, _, high) in times.items()
            },
            "dtype": watch.dtype.name,
            "visual_tokens": visual_tokens(config, cell.frames, cell.keep),
            "clips_at_once": clips,
        }
    return {cell.name: found[_key(cell, base)] for cell in study.cells}


def _key(cell: CellConfig, base: Base) -> Any:
    """The same for cells that cost the same."""
    return repr(model_of(cell, base.config)), cell.keep, cell.frames


def _clips() -> int:
    """How many clips are asked about at once."""
    return CLIPS.get(jax.devices()[0].platform, 4)


def _inputs(cell: CellConfig, base: Base) -> dict[str, Any]:
    """Parameters and a batch of clips, of noise, with questions of one word."""
    config, clips, frames = model_of(cell, base.config), _clips(), cell.frames
    params = {**base.params}
    if config.adapter != base.config.adapter:
        params["adapter"] = lvlm.init(config, jax.random.key(0))["adapter"]
    size, visual = config.encoder.image_size, visual_tokens(config, frames, cell.keep)
    noise = jax.random.bits(jax.random.key(1), (clips, frames, size, size, 3), jnp.uint8)
    words = jnp.full((clips, visual + TEXT), 5, jnp.int32)
    return {
        "params": params,
        "pixels": noise,
        "times": jnp.broadcast_to(jnp.arange(frames, dtype=jnp.float32) / 4, (clips, frames)),
        "rng": jax.random.key(0),
        "tokens": words.at[:, :visual].set(base.chat.visual),
        "last": jnp.full((clips,), visual + TEXT - 1),
        "visual_id": jnp.int32(base.chat.visual),
    }


def _ask(cell: CellConfig, base: Base, given: dict[str, Any], call: Call) -> None:
    """Calls each part with what those before it return, as a question about a clip does."""
    config, params, times = model_of(cell, base.config), given["params"], given["times"]
    # Of the encoder's sizes alone: it is one program whatever the sampler and the adapter are.
    features = call(
        "encoder", parts.encode, {"encoder": params["encoder"]}, given["pixels"], config=base.config
    )
    chosen = None
    if cell.keep < candidates(config):
        how = {"config": config, "keep": cell.keep, "sampler": cell.sampler}
        chosen, _ = call("sampler", parts.select, params, features, times, given["rng"], **how)
    shown = call("adapter", parts.adapt, params, features, times, chosen, config=config)
    tokens = given["tokens"]
    read = (params, shown, tokens, given["last"], given["visual_id"])
    call("decoder", parts.read, *read, config=config, length=tokens.shape[1])


@dataclass
class Watch:
    """Compiles the parts that it was told of, and times each program once."""

    dtype: Any
    jobs: list[Callable[[], object]] = field(default_factory=list)
    _programs: dict[Any, Compiled] = field(default_factory=dict)
    _times: dict[Any, list[float]] = field(default_factory=dict)

    def note(self, _part: str, function: Any, *arguments: Any, **static: Any) -> Any:
        """Adds a job that compiles the program; returns the shapes of its results."""
        whole = partial(function, **static, dtype=self.dtype)
        key = self._key(function, static)
        program = self._programs.setdefault(key, Compiled(jax.jit(whole)))
        self.jobs.append(partial(program.make, *arguments))
        return jax.eval_shape(whole, *arguments)

    def time(
        self,
        times: dict[str, list[float]],
        part: str,
        function: Any,
        *arguments: Any,
        **static: Any,
    ) -> Any:
        """Runs the program; notes the quartiles of its seconds in `times`."""
        key = self._key(function, static)
        run = self._programs[key].make(*arguments)
        result = jax.block_until_ready(run(*arguments))
        shapes = str(jax.tree.map(jnp.shape, arguments))
        if (key, shapes) not in self._times:
            taken = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                jax.block_until_ready(run(*arguments))
                taken.append(time.perf_counter() - started)
            self._times[key, shapes] = statistics.quantiles(taken, n=4)
        times[part] = self._times[key, shapes]
        return result

    @staticmethod
    def _key(function: Any, static: dict[str, Any]) -> Any:
        return function.__name__, repr(sorted(static.items()))
