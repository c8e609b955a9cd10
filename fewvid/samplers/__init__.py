"""The strategies of the weighted token sampler: which K of a frame's N tokens go on.

K of each frame, or K on average where a strategy spends one budget over the clip (`temporal`).
All have one signature (see `types.Sampler`); a new one is a file and a row in SAMPLERS.
"""

from __future__ import annotations

from fewvid.errors import UserError, closest
from fewvid.samplers.attention import attention
from fewvid.samplers.attention_diverse import attention_diverse
from fewvid.samplers.attention_merge import attention_merge
from fewvid.samplers.density_merge import density_merge
from fewvid.samplers.dpp_text import dpp_text
from fewvid.samplers.entropy import entropy
from fewvid.samplers.maxmin import maxmin
from fewvid.samplers.pool import pool
from fewvid.samplers.random import random
from fewvid.samplers.stride import stride
from fewvid.samplers.temporal import temporal
from fewvid.samplers.types import Sampler, Selection, gather, of_frames, spread

SAMPLERS: dict[str, Sampler] = {
    "random": random,
    "stride": stride,
    "pool": pool,
    "attention": attention,
    "entropy": entropy,
    "attention_merge": attention_merge,
    "attention_diverse": attention_diverse,
    "maxmin": maxmin,
    "dpp_text": dpp_text,
    "temporal": temporal,
    "density_merge": density_merge,
}


ASKING = frozenset({"dpp_text"})  # choose by a question, and so need a `query`


def asks(name: str) -> bool:
    """Whether the strategy of that name chooses by a question."""
    return name in ASKING


def find(name: str) -> Sampler:
    """The strategy of that name. Raises UserError that lists them and names the closest."""
    if name not in SAMPLERS:
        known = ", ".join(SAMPLERS)
        raise UserError(f"no sampler {name!r}; --sampler takes {known}.{closest(name, SAMPLERS)}")
    return SAMPLERS[name]


__all__ = ["SAMPLERS", "Sampler", "Selection", "asks", "find", "gather", "of_frames", "spread"]
