"""What a world may be: each limit is a UserError that names the flag to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fewvid.data.shapes.questions import CHANCE, chances
from fewvid.data.shapes.renderers import RENDERERS
from fewvid.data.shapes.scene import COLOURS, DIRECTIONS, FORMS, MOST
from fewvid.data.shapes.variant import LEAST_FRAMES, MOTIONS, SCALES, Variant
from fewvid.errors import UserError, closest

MOST_FRAMES, MOST_CLUTTER = 64, 64


def check_variant(variant: Variant, things: int) -> None:
    """Raises UserError for a variant that cannot be drawn, or asked, with up to `things` things."""
    if not 1 <= things <= MOST:
        raise UserError(f"a scene has 1 to {MOST} things: got --things {things}")
    _between("--frames", variant.frames, 2, MOST_FRAMES)
    _between("--clutter", variant.clutter, 0, MOST_CLUTTER)
    for key, known in (("motion", MOTIONS), ("scale", SCALES), ("look", RENDERERS)):
        _known(f"--{key}", (getattr(variant, key),), known)
    for key, known, least in (
        ("forms", FORMS, max(things, 2)),  # each form once a scene; one alone would be no question
        ("colours", COLOURS, 2 * things),  # each thing has two to itself
        ("directions", DIRECTIONS, 2),
    ):
        got = getattr(variant, key)
        _known(f"Variant.{key}", got, known)
        if len(got) < least or len(set(got)) < len(got):
            raise UserError(
                f"Variant.{key} is {', '.join(got) or 'empty'}: scenes of up to {things} things "
                f"need {least} or more, none twice"
            )
    _known("Variant.dimensions", variant.dimensions, CHANCE)
    _check_asked(variant, things)


def _check_asked(variant: Variant, things: int) -> None:
    for name, least in LEAST_FRAMES.items():
        if variant.frames < least and name in (variant.dimensions or CHANCE):
            raise UserError(
                f"--frames is {variant.frames}, but questions of {name!r} need {least} or more; "
                f"give more, or Variant.dimensions without {name!r}"
            )
    asked = chances(things, variant)
    possible = ", ".join(chances(things, replace(variant, dimensions=())))
    for name in variant.dimensions:
        if name not in asked:
            raise UserError(
                f"Variant.dimensions: {name!r} has one answer or none with --things {things} "
                f"--motion {variant.motion} --scale {variant.scale} and {len(variant.forms)} "
                f"forms; wanted one of {possible}"
            )


def _between(key: str, got: int, least: int, most: int) -> None:
    if not least <= got <= most:
        raise UserError(f"{key} is {got}, must be {least} to {most}")


def _known(key: str, got: Iterable[str], known: Iterable[str]) -> None:
    for name in got:
        if name not in known:
            wanted = ", ".join(known)
            raise UserError(f"{key} is {name!r}, wanted {wanted}.{closest(name, known)}")
