"""Why attention beats random choice or not: whether the adapter reads what the sampler drops.

Part of the page of `samplers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import verdicts
from fewvid.studies.results import Estimate, Results

PAPER, RANDOM, OFF = "attention", "random", "off things"
READS = {
    "tokens": "each kept token reads its whole frame",
    "learned": "queries read what is kept",
    "mlp": "no token reads another",
}
WHOLE, ALONE = "tokens", "mlp"
LITTLE = 0.03  # of the accuracy: lost where nothing that is asked about is kept
EXAM = "pictures"


def findings(results: Results) -> list[str]:
    """What each adapter makes of each choice, and what follows from it."""
    if "dropped" not in results.values:
        return []
    about, view = results.values["dropped"], _view(results)
    each = "; ".join(
        f"`{name}` ({READS[name]}) {', '.join(_shares(view, name))} % right"
        for name in about["scores"]
    )
    line = (
        f"Trained on pictures for {about['steps']} steps at K = {about['keep']}, with what "
        f"attention keeps, K by chance, and K by chance off all things: {each}."
    )
    return [*_why(results, view), line]


def _why(results: Results, view: Results) -> list[str]:
    lost = {name: _gained(view, name, OFF, PAPER) for name in (WHOLE, ALONE)}
    gained = {name: _gained(view, name) for name in results.values["dropped"]["scores"]}
    if lost[WHOLE].mean < -LITTLE or gained[ALONE].low <= 0:
        return []
    names = sorted(view.dimensions(EXAM), key=lambda n: -_gained(view, ALONE, of=[n]).mean)
    most = ", ".join(f"{n} {verdicts.points(_gained(view, ALONE, of=[n]))}" for n in names[:2])
    least = sorted(view.dimensions(EXAM), key=lambda n: _above_chance(view, n))
    unknown = ", ".join(
        f"{n} {view.estimate(f'{ALONE}/{OFF}', EXAM, [n])} % (chance {view.chance(EXAM, [n]):.0%})"
        for n in least[:2]
    )
    others = "; ".join(
        f"`{name}` {verdicts.points(one)}" for name, one in gained.items() if name != ALONE
    )
    return [
        "**Why attention does not beat random, trained with: what is dropped is read all the "
        f"same.** The queries of this adapter, `{WHOLE}`, read the whole frame: with tokens none "
        "of which shows a part of any thing it is "
        f"{verdicts.points(lost[WHOLE])} from where attention chooses. Where no token reads "
        f"another, `{ALONE}`, that is {verdicts.points(lost[ALONE])}, and attention less random "
        f"is {verdicts.points(gained[ALONE])} (most on {most}); least is known off all things of "
        f"{unknown}. Attention less random with other "
        f"adapters: {others}."
    ]


def _above_chance(view: Results, dimension: str) -> float:
    """How much better than a guess `mlp` answers from tokens that show no thing."""
    right = view.estimate(f"{ALONE}/{OFF}", EXAM, [dimension]).mean
    return right - view.chance(EXAM, [dimension])


def _view(results: Results) -> Results:
    """The measure as results of cells, `adapter/kept`."""
    scores = results.values["dropped"]["scores"]
    return Results(
        {
            "cells": {
                f"{name}/{kept}": {"scores": {EXAM: found}}
                for name, of in scores.items()
                for kept, found in of.items()
            }
        }
    )


def _shares(view: Results, adapter: str) -> list[str]:
    return [str(view.estimate(f"{adapter}/{kept}", EXAM, "")) for kept in (PAPER, RANDOM, OFF)]


def _gained(
    view: Results, adapter: str, kept: str = PAPER, than: str = RANDOM, of: str | Sequence[str] = ""
) -> Estimate:
    return view.difference(f"{adapter}/{kept}", f"{adapter}/{than}", EXAM, of)


def by_adapter(results: Results, file: Path) -> None:
    """Pictures answered rightly by adapter and choice; attention less random by dimension."""
    view, about = _view(results), results.values["dropped"]
    names = list(about["scores"])
    with figures.figure(file, 2, width=5.6, height=4.2) as (right, gained):
        groups = [
            (kept, [view.estimate(f"{name}/{kept}", EXAM, "") for name in names])
            for kept in (PAPER, RANDOM, OFF)
        ]
        labels = [f"{name}: " + READS[name].replace(" read", "\nread") for name in names]
        marks.shares(right, labels, groups)
        figures.percent(right, "questions about pictures answered rightly", "x")
        lost = {name: verdicts.short(_gained(view, name, OFF, PAPER)) for name in (WHOLE, ALONE)}
        right.set_title(
            f"Off all things instead of attention's: {lost[WHOLE]} points where tokens read the "
            f"whole frame, {lost[ALONE]} where they do not"
        )
        figures.legend(right, 3)
        rows = view.dimensions(EXAM)
        marks.differences(
            gained,
            rows,
            [(name, [_gained(view, name, of=[row]) for row in rows]) for name in names],
            "points, attention less random",
        )
        of_all = ", ".join(f"{name} {verdicts.short(_gained(view, name))}" for name in names)
        gained.set_title(f"Attention less random on all: {of_all}")
        figures.legend(gained, 3)
