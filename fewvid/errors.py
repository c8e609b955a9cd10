"""The one exception that means: the user can mend this, and here is how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
