"""Whether a claim holds, in words: the interval decides, not the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fewvid.studies.results import Estimate, Results


def word(found: Estimate, least: float) -> str:
    """Holds where the whole interval reaches `least`, Open where only part of it does."""
    if found.low >= least:
        return "Holds"
    return "Does not hold" if found.high < least else "Open"


def gain(claim: str, gained: Estimate, least: float = 0.0) -> str:
    """A claim that a difference is at least `least`, or above 0."""
    wanted = f"at least {100 * least:+.1f}" if least else "more than 0"
    found = word(gained, least or math.ulp(0.0))
    return f"**{found}**: {claim} ({points(gained)}; wanted {wanted})."


def kept(claim: str, ratio: Estimate, least: float) -> str:
    """A claim that a ratio of accuracies is at least `least`."""
    return f"**{word(ratio, least)}**: {claim} ({ratio} %; wanted at least {100 * least:g} %)."


def reached(claim: str, share: Estimate, least: float) -> str:
    """A claim that an accuracy is at least `least`."""
    return kept(claim, share, least)


def times(claim: str, found: float, least: float) -> str:
    """A claim that a measured ratio, which has no interval, is at least `least`."""
    said = "Holds" if found >= least else "Does not hold"
    return f"**{said}**: {claim} ({found:.1f} times; wanted at least {least:g})."


def points(gained: Estimate) -> str:
    """A difference in points of per cent, with its interval."""
    if math.isnan(gained.mean):
        return "not asked"
    return f"{_signed(gained)} ± {100 * gained.half:.1f} points"


def share(value: float) -> str:
    """A share in per cent; a dash where it is unknown."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def short(gained: Estimate) -> str:
    """A difference in points for a title, marked where its interval holds 0."""
    if math.isnan(gained.mean):
        return "not asked"
    unsure = gained.low <= 0 <= gained.high and gained.half > 0
    return _signed(gained) + f" (± {100 * gained.half:.1f})" * unsure


def apart(found: Mapping[str, Estimate], name: str) -> bool:
    """Whether one stands apart from all others: its interval meets none of theirs."""
    one = found[name]
    others = [other for key, other in found.items() if key != name]
    return all(one.high < other.low or other.high < one.low for other in others)


def extent(found: Mapping[str, Estimate]) -> str:
    """From the lowest to the highest difference, in points."""
    ranked = sorted(found.values(), key=lambda one: one.mean)
    return f"{_signed(ranked[0])} to {_signed(ranked[-1])} points"


def _signed(gained: Estimate) -> str:
    return f"{round(100 * gained.mean, 1) + 0.0:+.1f}"  # no -0.0


def enough(results: Results, cells: Sequence[str], exam: str, of: str | Sequence[str]) -> str:
    """The first of `cells` (from few to many) from which on none is seen to be below the last."""
    last = cells[-1]
    first = last
    for name in reversed(cells):
        if not results.difference(name, last, exam, of).high >= 0:
            break
        first = name
    return first


def helps(first: int, counts: Sequence[int]) -> str:
    """What `enough` found, in words, before a unit: `first` of ascending `counts`."""
    return f"gains up to all {first}" if first == counts[-1] else f"no gain seen past {first}"
