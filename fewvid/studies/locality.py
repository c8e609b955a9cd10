"""What one token says of things that its patch does not show: how far an encoder spreads them.

A ridge regression reads from a single token of a picture which colours and forms are in the
picture. Of a token whose patch shows no thing nothing could be read if tokens were local.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.data.shapes.places import in_patches, places
from fewvid.data.shapes.scene import COLOURS, FORMS, Scene
from fewvid.data.shapes.variant import SIZE
from fewvid.data.shapes.world import World, scene_of
from fewvid.models import lvlm
from fewvid.studies.base import SEED, Base
from fewvid.studies.config import StudyConfig
from fewvid.studies.coverage import FRESH, SHOWN
from fewvid.studies.library import Library
from fewvid.studies.plans import exam_of
from fewvid.studies.results import NORMAL

LEAST = 300  # pictures: fewer say nothing
ROWS = 100  # pictures of a batch
RIDGE = 2e-3  # of the number of tokens that are learnt from; features have spread 1
FITTED = 2 / 3  # of the pictures; the others judge


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    """{place: {source: {"colour", "form": share}}} of pictures that nothing was trained on.

    place: `off`, a token that shows no part of any thing, or `on`, one that shows a thing; drawn
    once for all sources. source: the pixels of its patch, the token as the encoder with random
    parameters or with its own gives it, or what the adapter makes of it. share: of the colours
    (or forms) that are there, and of those that are not, read rightly: the mean of both, so that
    knowing nothing is 0.5; {"mean", "half"}, half of a 95 % interval (binomial).
    """
    count = max(LEAST, 3 * study.scale.test)
    shelf = exam_of(study.cells[0], study.exam("pictures"))
    world = World(clips=10**6, images=10**6, seed=SEED, variant=shelf.variant)
    scenes = [scene_of(world, shelf.split, "image", index)[0] for index in range(count)]
    fresh = base._replace(params=lvlm.init(base.config, jax.random.key(FRESH)))
    library = Library(base, "float32")
    library.need(shelf, count)
    library.draw(lambda _: None)
    pixels = np.asarray(library.corpus((shelf,), encoded=False).pixels)[:, 0]
    patch = base.config.encoder.patch_size
    encoded, read = _tokens(base, pixels)
    sources = {
        "pixels": _patches(pixels, patch),
        "encoder, untrained": _tokens(fresh, pixels)[0],
        "encoder": encoded,
        "adapter": read,
    }
    there = {"colour": _there(scenes, COLOURS), "form": _there(scenes, FORMS)}
    found: dict[str, Any] = {}
    for place, at in _chosen(scenes, patch).items():
        row = np.flatnonzero(at >= 0)
        for source, tokens in sources.items():
            read = tokens[row, at[row]].astype(np.float64)
            found.setdefault(place, {})[source] = {
                what: _read(read, labels[row]) for what, labels in there.items()
            }
    return found


def _patches(pixels: np.ndarray, patch: int) -> np.ndarray:
    """uint8[n,S,S,3] -> float32[n,N,3*patch*patch]."""
    count, size = pixels.shape[:2]
    grid = size // patch
    cut = pixels.reshape(count, grid, patch, grid, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(count, grid * grid, -1).astype(np.float32)


def _tokens(base: Base, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the encoder and the adapter make of all patches, float32[n,N,D] each."""

    @jax.jit
    def see(params: Any, shown: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = lvlm.encode(base.config, params, shown[:, None])
        module, times = lvlm.Lvlm(base.config), jnp.zeros((len(shown), 1))
        read: Any = module.apply({"params": params}, features, times, None, method="see")
        return features.tokens[:, 0], read.tokens.reshape(features.tokens.shape[0], -1, width)

    width = base.config.decoder.width
    parts = [see(base.params, pixels[i : i + ROWS]) for i in range(0, len(pixels), ROWS)]
    encoded, read = zip(*parts, strict=True)
    return np.concatenate(encoded), np.concatenate(read)


def _there(scenes: Sequence[Scene], known: Sequence[str]) -> np.ndarray:
    """bool[n,len(known)]: which colours (or forms) a picture has."""
    shown = [{word for t in scene.things for word in (t.colour(0), t.form)} for scene in scenes]
    return np.array([[word in one for word in known] for one in shown])


def _chosen(scenes: Sequence[Scene], patch: int) -> dict[str, np.ndarray]:
    """For each place a token of each picture by chance, int[n]; -1 where it has none."""
    rng = np.random.default_rng(SEED)
    chosen: dict[str, list[int]] = {"off": [], "on": []}
    for scene in scenes:
        taken = in_patches(places(scene, SIZE), patch)[:, 0].max(axis=0)
        for place, fits in (("off", taken == 0), ("on", taken >= SHOWN)):
            among = np.flatnonzero(fits)
            chosen[place].append(int(rng.choice(among)) if len(among) else -1)
    return {place: np.array(at) for place, at in chosen.items()}


def _read(tokens: np.ndarray, there: np.ndarray) -> dict[str, float]:
    """The share of labels bool[n,C] read rightly from tokens float64[n,D], balanced."""
    split = round(FITTED * len(tokens))
    mean, spread = tokens[:split].mean(axis=0), tokens[:split].std(axis=0) + 1e-6
    features = np.concatenate([(tokens - mean) / spread, np.ones((len(tokens), 1))], axis=1)
    fitted, judged = features[:split], features[split:]
    shares, errors = [], []
    for label in there.T:
        wanted, truth = label[:split], label[split:]
        weight = np.where(wanted, 0.5 / wanted.mean(), 0.5 / (~wanted).mean())[:, None]
        ridge = RIDGE * split * np.eye(features.shape[1])
        weighted = fitted * weight
        solution = np.linalg.solve(
            fitted.T @ weighted + ridge, weighted.T @ np.where(wanted, 1.0, -1.0)
        )
        right = (judged @ solution > 0) == truth
        sides = [right[truth], right[~truth]]
        shares.append(np.mean([side.mean() for side in sides]))
        errors.append(np.sqrt(sum(side.var() / len(side) for side in sides)) / 2)
    # Labels share pictures: the mean of their intervals, not that of so many draws.
    return {"mean": float(np.mean(shares)), "half": float(NORMAL * np.mean(errors))}
