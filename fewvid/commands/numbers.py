"""Numbers that commands take as flags, as argparse types that say their range."""

from __future__ import annotations

import argparse


def seed(text: str) -> int:
    """The argparse type of --seed: 0 to 2**63 - 1."""
    from fewvid.inference.checks import MOST_SEED

    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= MOST_SEED:
        raise argparse.ArgumentTypeError(f"wanted a whole number, 0 to 2**63-1, got {text!r}")
    return value
