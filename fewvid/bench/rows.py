"""A row of the table: one case, ours and the peer's times, and the floor of the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fewvid.bench.cases import ENCODER, Case
from fewvid.bench.sizes import Size

Found = dict[str, Any]  # what a child says of a case: seconds, q1, q3, runs, compile_seconds, ...


@dataclass(frozen=True)
class Ceilings:
    """What the device does at most, in this run: float operations and bytes of a second."""

    flops: float
    bytes: float
    of: str  # which side reached the flops

    def floor(self, case: Case) -> float:
        """The fewest seconds that a call can take."""
        return max(case.flops / self.flops, case.bytes / self.bytes)


def ceilings(size: Size, sides: dict[str, dict[str, Found]]) -> Ceilings | None:
    """The better of both sides, from {side: {"product" and "copy": what was found}}."""
    flops: dict[str, float] = {}
    copied: list[float] = []
    for side, found in sides.items():
        if seconds := found.get("product", {}).get("seconds"):
            flops[side] = 2 * size.product**3 / seconds
        if seconds := found.get("copy", {}).get("seconds"):
            copied.append(2 * size.copy / seconds)  # read and written
    if not flops or not copied:
        return None
    best = max(flops, key=lambda side: flops[side])
    return Ceilings(flops[best], max(copied), best)


def row(
    case: Case,
    ours: Found | None,
    peer: Found | None,
    limits: Ceilings | None,
    encoder: Found | None = None,
) -> dict[str, Any]:
    """What JSON says of a case. `seconds` are of a call; `value` is in the row's `unit`.

    ratio: how many times faster ours is. of_floor: how much of the device's ceiling ours reaches.
    share_of_encoder: of a sampler's time, where `encoder` is what the encoder of the clip took.
    """
    values: dict[str, Any] = case.to_dict()
    ours, peer = _valued(case, ours), _valued(case, peer)
    values |= {"ours": ours, "peer": peer, "ratio": None, "floor_seconds": None, "of_floor": None}
    mine, theirs = (found.get("seconds") if found else None for found in (ours, peer))
    if mine and theirs:
        values["ratio"] = round(theirs / mine, 3)
    if limits:
        values["floor_seconds"] = limits.floor(case)
        values["floor_value"] = value(case, limits.floor(case)) if limits.floor(case) else None
        if mine:
            values["of_floor"] = round(limits.floor(case) / mine, 4)
    if mine:
        values["tflops"] = round(case.flops / mine / 1e12, 4)
    if mine and encoder and case.name != ENCODER and encoder.get("seconds"):
        values["share_of_encoder"] = round(mine / encoder["seconds"], 4)
    return values


def value(case: Case, seconds: float) -> float:
    """Seconds of a call in the unit of the row: milliseconds, or so many of something a second."""
    return round(1e3 * seconds if case.unit == "ms" else case.amount / seconds, 4)


def _valued(case: Case, found: Found | None) -> Found | None:
    if not found or "seconds" not in found:
        return found
    low, middle, high = sorted(value(case, found[key]) for key in ("q1", "seconds", "q3"))
    return found | {"value": middle, "value_q1": low, "value_q3": high}
