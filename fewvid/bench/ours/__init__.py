"""The library's own parts, got ready to be timed: `WORKS[name](size)(case) -> Ready`."""

from __future__ import annotations

from collections.abc import Callable

from fewvid.bench.cases import Case
from fewvid.bench.ours import ceilings, clip, decode, encode, prefill, sampler, train
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready

WORKS: dict[str, Callable[[Size], Callable[[Case], Ready]]] = {
    "ceilings": ceilings.load,
    "encode": encode.load,
    "prefill": prefill.load,
    "decode": decode.load,
    "clip": clip.load,
    "train": train.load,
    "sampler": sampler.load,
}
