"""A host's share of every batch, and a place in the data that hangs on nothing else.

The rows of a run have one order, whatever the number of hosts: batch n is its rows n*B..n*B+B-1,
of which each host makes those that its devices hold. Where a run has come to is therefore one
number, the batches taken, and a run goes on with another number of hosts as it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fewvid.data.batches import Batch
from fewvid.errors import UserError


class Share:
    """The rows of one host out of the rows of all, as a source of Grain.

    rows: which of a global batch's rows are this host's; first: the batch to begin with.
    """

    def __init__(self, whole: Any, rows: Sequence[int], batch_size: int, first: int) -> None:
        self._whole, self._rows, self._batch_size, self._first = whole, rows, batch_size, first

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> Batch:
        batch, row = divmod(index, len(self._rows))
        return self._whole[(self._first + batch) * self._batch_size + self._rows[row]]


class Batches:
    """Endless batches, with get_state, set_state and close. start(n): begins with batch n.

    Nothing is read before the first is asked for, so that a place can be set at no cost.
    """

    def __init__(self, start: Callable[[int], Any]) -> None:
        self._start, self._running, self._taken = start, None, 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._running is None:
            self._running = self._start(self._taken)
        batch = next(self._running)
        self._taken += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """The place: how many batches of the run have been taken."""
        return {"batches": self._taken}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to a place."""
        self.close()
        self._taken = state["batches"]

    def close(self) -> None:
        """Ends the threads that read ahead; the next batch starts them again."""
        if self._running is not None:
            self._running.close()
            self._running = None


def share_of(rows: Sequence[int] | None, batch_size: int) -> Sequence[int]:
    """The rows of a batch that a host makes: those given, or all (None).

    Raises UserError for rows that a batch has not.
    """
    rows = range(batch_size) if rows is None else rows
    if not rows or min(rows) < 0 or max(rows) >= batch_size:
        raise UserError(f"rows {list(rows)} of a batch of {batch_size}: wanted some of its own")
    return rows
