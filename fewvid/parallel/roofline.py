"""How long a step takes at best: what a chip computes, moves in memory and sends, at peak.

No chip is at its peak all the time, so this is a bound and no forecast. Two numbers bracket what
overlap can do: the longest of them where they hide behind each other, their sum where not.
"""

from __future__ import annotations

from dataclasses import dataclass

from fewvid.parallel.chips import Chip

DAY = 86_400  # seconds


@dataclass(frozen=True)
class Load:
    """Of one chip and step: flops done, bytes through its memory, bytes that leave it for its own
    slice and for others (dcn).

    useful: the flops that the model asks for, without what is worked out again.
    """

    useful: float
    done: float
    memory: float
    links: float
    dcn: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """Seconds of a step. compute, memory, links, dcn: each alone; and the model FLOPs utilisation
    (useful flops over peak) where they overlap wholly (the best) and not at all.
    """

    compute: float
    memory: float
    links: float
    dcn: float
    best: float
    apart: float
    mfu_best: float
    mfu_apart: float


def estimate(load: Load, chip: Chip) -> Estimate:
    """What the figures of a chip make of a load."""
    compute = load.done / chip.flops
    memory = load.memory / chip.hbm_rate
    links = load.links / chip.link_rate
    dcn = load.dcn / chip.dcn_rate
    each = (compute, memory, links, dcn)
    best, apart = max(each), sum(each)
    at_peak = load.useful / chip.flops
    return Estimate(*each, best, apart, at_peak / best, at_peak / apart)


def a_day(amount: float, seconds: float) -> float:
    """How much of what a step has `amount` of goes by in a day."""
    return amount * DAY / seconds
