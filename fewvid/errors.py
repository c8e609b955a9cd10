"""The one exception that means: the user can mend this, and here is how; and a seed's limits."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_SEED = 2**63 - 1  # the largest that numpy and JAX both take


class UserError(Exception):
    """A mistake in what the user gave: a file, a flag, a config key.

    The message says what was got, what was wanted and which flag or key to change. The command
    line prints it on one line and ends with exit code 2; nothing else catches it.
    """


def one_line(error: UserError | str) -> str:
    """Returns what is printed of an error: `fewvid: error: <message>`, without line ends."""
    return f"fewvid: error: {' '.join(str(error).split())}"


def closest(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the known name nearest to `name`, or "" if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_seed(value: int, key: str) -> int:
    """Returns a seed that is in 0..2**63-1; raises UserError naming `key` for any other.

    key: the flag or config key that the seed came from, such as `--seed` or `config.seed`.
    """
    if not 0 <= value <= MOST_SEED:
        raise UserError(f"{key} is {value}, must be a whole number from 0 to {MOST_SEED}")
    return value


def seed_flag(text: str) -> int:
    """What argparse makes of the text after `--seed` (its `type`). Raises UserError."""
    try:
        value = int(text)
    except ValueError:
        raise UserError(
            f"--seed is {text!r}, must be a whole number from 0 to {MOST_SEED}"
        ) from None
    return check_seed(value, "--seed")
