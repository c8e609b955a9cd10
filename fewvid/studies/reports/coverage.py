"""What a choice leaves out of the scene, and what a token says of the rest.

Part of the page of `samplers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.coverage import UNTRAINED
from fewvid.studies.results import Estimate, Results

RANDOM, PAPER = "random", "attention"


def findings(results: Results, trained: Mapping[int, Mapping[str, str]]) -> list[str]:
    """What is left out, that it is answered all the same, and where the answer is read.

    trained: by K the cell of each sampler that was trained with.
    """
    if "coverage" not in results.values:
        return []
    least = min(trained)
    left = {name: _missed(results, name, least) for name in (PAPER, RANDOM, UNTRAINED)}
    on = {name: _coverage(results, name, least, "on") for name in (PAPER, RANDOM)}
    area = Estimate(**results.values["coverage"]["area"])
    answered = {
        name: results.estimate(trained[least][name], "pictures", "static")
        for name in (PAPER, RANDOM)
    }
    lines = [
        f"At K = {least} attention finds the things: {on[PAPER]} % of what it keeps shows one, as "
        f"{area} % of all tokens do, and no kept token shows {left[PAPER]} % of the things of a "
        f"frame. Random choice leaves out {left[RANDOM]} % of them; attention by a response that "
        f"nothing has trained {left[UNTRAINED]} %.",
        f"A thing that is left out is answered for all the same: trained with random choice, "
        f"{answered[RANDOM]} % on pictures at K = {least}, trained with attention "
        f"{answered[PAPER]} %.",
    ]
    return [*lines, _spread(results)]


def _spread(results: Results) -> str:
    """How much a token that shows no thing says of the things, in words."""
    off = {
        source: {what: Estimate(**share) for what, share in found.items()}
        for source, found in results.values["locality"]["off"].items()
    }
    colour, form = (off["encoder"][what] for what in ("colour", "form"))
    return (
        "Part of it the encoder spreads: which colours are in a picture a linear reading of one "
        f"token that shows no thing tells with {colour} % (50 is chance), from the pixels of its "
        f"patch with {off['pixels']['colour']} %, after an encoder that nothing has trained with "
        f"{off['encoder, untrained']['colour']} %; which forms with {form}, "
        f"{off['pixels']['form']} and {off['encoder, untrained']['form']} %."
    )


def missed_and_right(results: Results, file: Path) -> None:
    """Pictures answered rightly over the things left out: trained with, and only applied."""
    with figures.figure(file, 2, width=5.6, height=4.2, share_y=True) as panels:
        for axes, applied in zip(panels, (False, True), strict=True):
            cells = _cells(results, applied=applied)
            least = min(keep for keep, _ in cells)
            for number, keep in enumerate(sorted({keep for keep, _ in cells})):
                points = {
                    name: (_missed(results, name, keep), right)
                    for (of, name), right in cells.items()
                    if of == keep
                }
                named = (RANDOM, PAPER) if keep == least else ()
                marks.scatter(axes, points, f"K = {keep}", number, named)
            left = 100 * _missed(results, RANDOM, least).mean
            right = 100 * cells[least, RANDOM].mean
            how = "Only applied" if applied else "Trained with"
            axes.set_title(
                f"{how}: random leaves out {left:.0f} % of the things at K = {least}, and "
                f"{right:.1f} % of the answers are right"
            )
            figures.percent(axes, "things of a frame that no kept token shows", "x")
        for axes in panels:
            axes.set_ylabel("")
        figures.percent(panels[0], "questions about pictures answered rightly")
        figures.shared_legend(panels[0])


def _cells(results: Results, *, applied: bool) -> dict[tuple[int, str], Estimate]:
    """By K and sampler, for those whose choice is known: the share of right answers on pictures."""
    kept = results.values["coverage"]["kept"]
    found = {}
    for name in results.cells:
        one = results.config(name)
        if (
            bool(one["of"]) == applied
            and not one["steps"]
            and str(one["keep"]) in kept.get(one["sampler"], {})
        ):
            right = results.estimate(name, "pictures", "static")
            found[one["keep"], one["sampler"]] = right
    return found


def _missed(results: Results, name: str, keep: int) -> Estimate:
    return _coverage(results, name, keep, "missed")


def _coverage(results: Results, name: str, keep: int, what: str) -> Estimate:
    return Estimate(**results.values["coverage"]["kept"][name][str(keep)][what])
