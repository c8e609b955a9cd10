"""A clip as the model sees it: encoded once, its tokens chosen once, however much is asked.

A still picture that the model reads in tiles (`models.tiles`) goes through as so many pictures of
one frame, one a view, in a batch: what is true of the view of a clip is true of each of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid import samplers
from fewvid.data import tiles as cutting
from fewvid.data.clip import Clip
from fewvid.data.images import resize, shown
from fewvid.errors import UserError
from fewvid.inference import checks, parts
from fewvid.inference.checks import AUTO, Keep
from fewvid.inference.clock import Clock
from fewvid.inference.selection import Selection
from fewvid.models import tiles
from fewvid.models.config import candidates, grid_of, kept_tokens, visual_tokens
from fewvid.samplers import auto_keep

if TYPE_CHECKING:
    from fewvid.inference.model import Model

ELSEWHERE = (
    "this model chooses among its adapter's outputs, which are no patches: "
    "marked are the patches with the highest response of the encoder"
)
TILED = "the first is the whole picture, squeezed; after it come its tiles, row by row"
# Views and tokens of a picture come in so many that few programs serve all shapes: the least,
# and what part of it the next larger number is larger by.
VIEWS, TOKENS = (2, 2), (64, 4)


class View:
    """Encodes a clip and lets the sampler choose; the rest waits until it is asked for.

    A sampler that chooses by the question chooses by `question`, or waits for the first one.
    `config` is the model's, or what it is to a still picture (`checks.config_for`).
    `tiling` is how a still picture is cut, None where it is not.
    `change` is how much the clip changes where K is "auto" (see `samplers.auto_keep`), else None.
    Raises UserError for K outside 1..N and for an unknown sampler.
    """

    def __init__(
        self,
        model: Model,
        clip: Clip,
        keep: Keep,
        sampler: str | None,
        seed: int,
        question: str | None = None,
    ) -> None:
        config = self.config = checks.config_for(model.config, clip)
        self.model, self.clip, self.clock = model, clip, Clock()
        self.sampler = sampler or config.sampler.name
        samplers.find(self.sampler)

        self.tiling = checks.tiling_for(config, clip)
        if self.tiling:
            self.seen = cutting.views(clip.frames[0], config.encoder.side, self.tiling.grid)
            more = tiles.bucket(self.tiling.views, *VIEWS) - self.tiling.views
            pixels = np.pad(self.seen, ((0, more), *((0, 0),) * 3))[:, None]
            self.times = np.zeros((len(pixels), 1), np.float32)
        else:
            self.seen = shown(clip.frames, config.encoder.side)
            pixels = resize(clip.frames, config.encoder.side)[None]
            self.times = clip.times[None].astype(np.float32)
        self.features = self.run("encode", parts.encode, pixels, config=config, dtype=model.dtype)
        self.change: float | None = None
        if keep == AUTO:
            self.change, keep = self._auto_keep()
        self.kept = kept_tokens(config, keep)
        self.chosen: samplers.Selection | None = None
        self.response = self.features.response
        if config.adapter.pool:
            self.response = parts.pooled(self.response)
        self._undecided = self.kept < candidates(config)
        self._key = jax.random.key(seed)
        if question is not None or not samplers.asks(self.sampler):
            self.choose(question)

    def choose(self, question: str | None) -> None:
        """Lets the sampler choose, unless it has: a clip is looked at once, whatever is asked next.

        Raises UserError where it chooses by the question and there is none.
        """
        if not self._undecided:
            return
        asked = None
        if samplers.asks(self.sampler):
            if question is None:
                raise UserError(checks.no_question(self.sampler))
            ids = self.model.chat.question_ids(question)
            asked = np.full((len(self.times), parts.padded(len(ids))), -1, np.int32)
            asked[:, : len(ids)] = ids
        self.chosen, self.response = self.run(
            "select",
            parts.select,
            self.features,
            self.times,
            self._key,
            asked,
            config=self.config,
            keep=self.kept,
            sampler=self.sampler,
            dtype=self.model.dtype,
        )
        self._undecided = False

    def _auto_keep(self) -> tuple[float, int]:
        """How much the clip changes, and the K that it gets for that."""
        programs, tokens = self.model.programs, self.features.tokens
        change = float(programs.run(self.clock, "select", parts.change, tokens)[0])
        return change, auto_keep.choose(change, candidates(self.config))

    def run(self, part: str, function: Any, *arguments: Any, **static: Any) -> Any:
        """Runs a part that takes the params first, on this view's clock."""
        programs, params = self.model.programs, self.model.params
        return programs.run(self.clock, part, function, params, *arguments, **static)

    @property
    def shown(self) -> int:
        """How many tokens the decoder reads; of a picture in tiles once its tokens are chosen."""
        if self.tiling:
            return len(self._table.newline)
        return visual_tokens(self.config, len(self.clip.frames), self.kept)

    @property
    def room(self) -> int:
        """`shown`, or the larger number that a row is laid out for."""
        return tiles.bucket(self.shown, *TOKENS) if self.tiling else self.shown

    @cached_property
    def _table(self) -> tiles.Table:
        assert self.tiling is not None
        if self.chosen is None:
            return tiles.table(self.tiling)
        return tiles.table(self.tiling, np.asarray(self.chosen.indices)[: self.tiling.views, 0])

    def visual(self) -> jax.Array:
        """The visual tokens float[1,T,M,D] that the decoder reads: M in all of one in tiles."""
        looked = (self.features, self.times, self.chosen)
        static = {"config": self.config, "dtype": self.model.dtype}
        visual = self.run("adapt", parts.adapt, *looked, **static)
        if not self.tiling:
            return visual
        return self.run("adapt", parts.pack, visual, tiles.padded(self._table, self.room))

    def selection(self) -> Selection:
        """What was kept, with what the encoder sees of the frames; raises as `choose` does."""
        self.choose(None)
        response, chosen, notes = self.response, self.chosen, self.clip.notes
        encoder, count, times = self.config.encoder, len(self.seen), self.clip.times
        if self.tiling:
            times, notes = np.zeros(count, np.float32), (*notes, TILED)
        grid = grid_of(self.config)
        if chosen is None:
            kept = np.ones((count, grid**2), bool)
        elif response.shape[-1] == grid**2:
            kept = self._by_frame(samplers.spread(jnp.ones_like(chosen.weights), chosen)) > 0
        else:
            response = self.features.response
            top = jax.lax.top_k(response[0], min(self.kept, encoder.tokens))[1]
            kept, notes = np.zeros((count, encoder.tokens), bool), (*notes, ELSEWHERE)
            np.put_along_axis(kept, np.asarray(top), True, axis=1)
        return Selection(
            indices=tuple(np.flatnonzero(frame).astype(np.int32) for frame in kept),
            scores=self._by_frame(response).astype(np.float32),
            frames=self.seen,
            times=times,
            grid=grid,
            sampler=self.sampler if chosen is not None else "",
            model=self.model.name,
            change=self.change,
            notes=notes,
        )

    def _by_frame(self, x: jax.Array) -> np.ndarray:
        """[1,T,N] -> [T,N], or of the views of a picture [V,1,N] -> [V,N]."""
        return np.asarray(x[: self.tiling.views, 0] if self.tiling else x[0])
