"""The clips and pictures that the cells and exams of a study need: each drawn and encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

from fewvid.data.shapes.variant import Variant
from fewvid.data.shapes.world import World
from fewvid.studies import corpus
from fewvid.studies.bank import Bank, Register
from fewvid.studies.base import SEED, Base
from fewvid.studies.corpus import Corpus, Drawn

Say = Callable[[str], None]


@dataclass(frozen=True)
class Shelf:
    """Which samples of the world: of a split and medium, in a variant, `frames` of each."""

    split: str
    medium: str
    variant: Variant
    frames: int


@dataclass
class Library:
    """Draws all shelves at once (the bank of questions must be whole), encodes them when asked."""

    base: Base
    dtype: str
    register: Register = field(default_factory=Register)
    counts: dict[Shelf, int] = field(default_factory=dict)
    _drawn: dict[Shelf, Drawn] = field(default_factory=dict)
    _made: dict[Any, Corpus] = field(default_factory=dict)

    def need(self, shelf: Shelf, count: int) -> None:
        """Notes that `count` samples of a shelf will be asked for."""
        self.counts[shelf] = max(count, self.counts.get(shelf, 0))

    def draw(self, say: Say) -> Bank:
        """Draws what is needed; returns the questions of all of it."""
        whole: dict[Shelf, int] = {}
        for shelf, count in self.counts.items():
            source = _whole(shelf)
            whole[source] = max(count, whole.get(source, 0))
        for source, count in whole.items():
            what = "clips" if source.medium == "video" else "pictures"
            say(f"drawing {count} {what} of the {source.split} split {_words(source.variant)}")
            world = World(clips=10**6, images=10**6, seed=SEED, variant=source.variant)
            everything = corpus.drawn(world, source.split, source.medium, count, self.register)
            for shelf, wanted in self.counts.items():
                if _whole(shelf) == source:
                    pixels, times, asked = corpus.thinned(everything, shelf.frames)
                    self._drawn[shelf] = Drawn(pixels[:wanted], times, asked[:wanted])
        return self.register.bank(self.base.chat)

    def corpus(self, shelves: Sequence[Shelf], *, encoded: bool) -> Corpus:
        """Some shelves behind each other; encoded by the base's encoder, or as pixels."""
        key = (tuple(shelves), encoded)
        if key not in self._made:
            part = corpus.joined([self._drawn[shelf] for shelf in shelves])
            self._made[key] = (
                corpus.encoded(part, self.base.config, self.base.params, jnp.dtype(self.dtype))
                if encoded
                else corpus.with_pixels(part)
            )
        return self._made[key]

    def shapes(self, shelves: Sequence[Shelf], *, encoded: bool) -> Corpus:
        """What `corpus` would return, without making it."""
        parts, dtype = [self._drawn[shelf] for shelf in shelves], jnp.dtype(self.dtype)
        return corpus.shapes(parts, self.base.config, dtype, encoded=encoded)

    def forget_training(self, *, but: Sequence[tuple[Shelf, ...]], encoded: bool) -> None:
        """Gives back the device's memory of what was trained on; exams are smaller, and stay.

        but: what is to be trained on next, `encoded` or as pixels.
        """
        wanted = {(shelves, encoded) for shelves in but}
        self._made = {
            key: made
            for key, made in self._made.items()
            if key in wanted or all(shelf.split != "train" for shelf in key[0])
        }


def _whole(shelf: Shelf) -> Shelf:
    """The shelf with all frames of its variant, of which others are thinned."""
    frames = shelf.variant.frames if shelf.medium == "video" else 1
    return Shelf(shelf.split, shelf.medium, shelf.variant, frames)


def _words(variant: Variant) -> str:
    changes = variant.changes()
    return f"({', '.join(f'{k} {v}' for k, v in changes.items())})" if changes else "(default)"
