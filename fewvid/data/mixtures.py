"""Mixtures: manifests, each with a weight and a fraction, as one endless order of groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fewvid.data.manifest import KINDS, group_by_media, read_manifest, subset
from fewvid.data.sample import Group
from fewvid.errors import UserError, closest

if TYPE_CHECKING:
    import grain


@dataclass(frozen=True)
class Source:
    """One manifest of a mixture.

    weight: its share of the rows, relative to the other sources.
    fraction: how much of it is used; 0.01 lies inside 0.1 inside 1 (`manifest.subset`). The choice
      hangs on `fraction_seed` alone, so that the stages of a strategy see the same tenth.
    kind: only "static" or "temporal" samples; dimension: only samples of that dimension, or of
      several with commas between; the fraction is of what is left.
    media: the folder that media paths are relative to, if not the manifest's own.
    """

    manifest: Path | str
    weight: float = 1.0
    fraction: float = 1.0
    kind: str | None = None
    dimension: str | None = None
    media: str | None = None
    fraction_seed: int = 0


def read_source(source: Source) -> list[Group]:
    """The groups that a source contributes. Raises UserError where none are left."""
    if not source.weight > 0:
        raise UserError(f"source {source.manifest}: weight must be above 0, got {source.weight}")
    samples = read_manifest(source.manifest, source.media)
    if source.kind is not None:
        if source.kind not in KINDS:
            hint = closest(source.kind, KINDS)
            raise UserError(f"unknown kind {source.kind!r}; known: {', '.join(KINDS)}.{hint}")
        samples = [sample for sample in samples if sample.kind == source.kind]
        if not samples:
            raise UserError(f"{source.manifest} has no samples of kind {source.kind!r}")
    if source.dimension is not None:
        wanted, known = source.dimension.split(","), {s.dimension for s in samples if s.dimension}
        for name in wanted:
            if name not in known:
                hint = closest(name, known)
                raise UserError(f"{source.manifest} has no samples of dimension {name!r}.{hint}")
        samples = [sample for sample in samples if sample.dimension in wanted]
    return subset(group_by_media(samples), source.fraction, source.fraction_seed)


def mix(sizes: Sequence[int], weights: Sequence[float], seed: int) -> grain.MapDataset:
    """An endless order of (source, group) indices: shuffled anew each epoch, mixed by weight."""
    import grain

    orders = []
    for number, size in enumerate(sizes):
        state = np.random.SeedSequence([seed, number]).generate_state(1)
        pairs = [(number, group) for group in range(size)]
        orders.append(grain.MapDataset.source(pairs).seed(int(state[0])).shuffle().repeat(None))
    total = sum(weights)
    return grain.MapDataset.mix(orders, [weight / total for weight in weights])
