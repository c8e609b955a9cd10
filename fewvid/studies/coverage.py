"""Whether what a sampler keeps shows the things of the scene: the world knows where they are.

It is asked of the image model that all cells start from. Where the encoder stays as it is (S3-IV,
S4-V) training moves the choice only through the adapter, whose attention is the response.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid import samplers
from fewvid.data.frames import choose as choose_frames
from fewvid.data.shapes.places import in_patches, places
from fewvid.data.shapes.variant import FPS, SIZE
from fewvid.data.shapes.world import World, scene_of
from fewvid.models import lvlm
from fewvid.models.config import visual_tokens
from fewvid.samplers.types import places as kept_places
from fewvid.studies.bank import Bank, lay_out
from fewvid.studies.base import SEED, Base
from fewvid.studies.choosing import choose
from fewvid.studies.config import StudyConfig
from fewvid.studies.corpus import Corpus, batch
from fewvid.studies.library import Library, Shelf
from fewvid.studies.plans import exam_of
from fewvid.studies.results import NORMAL

CLIPS = 200
ROWS = 50  # clips of a batch
SHOWN = 0.25  # of a patch: from there on its token shows a thing
FRESH = 7  # seed of parameters that nothing has trained
UNTRAINED = "attention, untrained"

Share = dict[str, float]


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    """{"area": share, "kept": {sampler: {K: {"on": share, "missed": share}}}} over clips.

    A share is {"mean", "half"}, half of a 95 % interval over clips. area: of a frame's tokens,
    those that show a thing; on: of the kept, those that do; missed: of the things of a frame,
    those that no kept token shows. Strategies that mix tokens are judged by those that they keep;
    `pool`, which mixes all in, is left out. UNTRAINED: `attention` with random parameters, where
    nothing has trained the response.
    """
    shelf = exam_of(study.cells[0], study.exam("clips"))
    count = min(CLIPS, study.scale.test)
    patch = base.config.encoder.patch_size
    things = [shown(shelf, index, patch) for index in range(count)]
    keeps = sorted({c.keep for c in study.cells if c.keep < base.config.encoder.tokens})
    fresh = base._replace(params=lvlm.init(base.config, jax.random.key(FRESH)))
    names = [name for name in dict.fromkeys(cell.sampler for cell in study.cells) if name != "pool"]

    kept: dict[str, Any] = {}
    for model, asked in ((base, {name: name for name in names}), (fresh, {UNTRAINED: "attention"})):
        corpus, bank = _encoded(model, shelf, count)
        for name, sampler in asked.items():
            kept[name] = {
                str(keep): _judged(_kept(model, corpus, bank, sampler, keep), things)
                for keep in keeps
            }
    return {"area": _share([one.any(0).mean() for one in things]), "kept": kept}


def _encoded(base: Base, shelf: Shelf, count: int) -> tuple[Corpus, Bank]:
    library = Library(base, "float32")
    library.need(shelf, count)
    bank = library.draw(lambda _: None)
    return library.corpus((shelf,), encoded=True), bank


def shown(shelf: Shelf, index: int, patch: int, least: float = SHOWN) -> np.ndarray:
    """bool[things,T,N]: the tokens that show each thing of a clip, on `least` of a patch or more.

    Of a thing that takes so much of none it is the one that shows the most of it.
    """
    world = World(clips=10**6, images=10**6, seed=SEED, variant=shelf.variant)
    scene, _ = scene_of(world, shelf.split, shelf.medium, index)
    taken = in_patches(places(scene, SIZE), patch)
    times = np.arange(taken.shape[1]) / FPS
    taken = taken[:, choose_frames(times, shelf.frames)]
    most = taken.max(axis=-1, keepdims=True)
    return (taken > 0) & ((taken >= least) | (taken == most))


def _kept(base: Base, corpus: Corpus, bank: Bank, sampler: str, keep: int) -> np.ndarray:
    """bool[n,T,N]; a strategy that asks is asked each clip's first question."""
    count, frames = len(corpus.asked), len(corpus.times)
    found = np.zeros((count, frames * base.config.encoder.tokens), bool)
    for start in range(0, count, ROWS):
        rows = jnp.arange(start, min(start + ROWS, count))
        seen, query = batch(corpus, rows), None
        if samplers.asks(sampler):
            first = corpus.asked[rows, :1].astype(jnp.int32)
            visual = visual_tokens(base.config, frames, keep)
            text = lay_out(bank, first, visual, base.chat.bos, base.chat.visual)
            query = lvlm.ask(base.params, text["tokens"], lvlm.asked_in(text))
        features = lvlm.Features(seen["feature_tokens"], seen["feature_response"])
        how = {"config": base.config, "keep": keep, "sampler": sampler}
        selection = choose(base.params, features, seen["times"], query, **how)
        np.put_along_axis(found[start : start + ROWS], np.asarray(kept_places(selection)), True, 1)
    return found.reshape(count, frames, -1)


def _judged(kept: np.ndarray, things: Sequence[np.ndarray]) -> dict[str, Share]:
    both = list(zip(kept, things, strict=True))
    return {
        "on": _share([float(np.any(one, axis=0)[mine].mean()) for mine, one in both]),
        "missed": _share([1 - (one & mine).any(-1).mean() for mine, one in both]),
    }


def _share(of_clips: Sequence[float]) -> Share:
    error = np.std(of_clips, ddof=1) / np.sqrt(len(of_clips))
    return {"mean": float(np.mean(of_clips)), "half": float(NORMAL * error)}
