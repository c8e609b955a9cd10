"""What one process of a run says to the others: decisions, refusals, results of one for all.

Goes through the key-value store of `jax.distributed`, not through the devices: a process may wait
here for minutes while the first one prepares, and `watch` ends the wait if that one dies. With
one process each function does what it says and talks to nobody.

All processes must come to these calls in the same order, as to a collective.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from fewvid.errors import UserError

WAIT_MS = 60_000  # one look; looks go on for as long as the other process lives
_calls = itertools.count()  # the same in every process: what a call's keys are told apart by


def leads() -> bool:
    """Whether this is the process that writes: working directory, logs, models."""
    import jax

    return jax.process_index() == 0


def client() -> Any:
    """The key-value store of `jax.distributed`, None where there is one process."""
    from jax._src import distributed  # no public name yet (jax 0.12)

    return distributed.global_state.client


def from_leader(work: Callable[[], Any]) -> Any:
    """Has the first process do `work`; every process gets its result (which JSON can hold).

    Raises UserError everywhere where the work does.
    """
    import jax

    if jax.process_count() == 1:
        return work()
    key = f"fewvid/led/{next(_calls)}"
    if not leads():
        told = json.loads(_get(key))
        if "error" in told:
            raise UserError(told["error"])
        return told["result"]
    try:
        result = work()
    except UserError as error:
        client().key_value_set(key, json.dumps({"error": str(error)}))
        raise
    client().key_value_set(key, json.dumps({"result": result}))
    return result


def of_all(value: Any) -> list[Any]:
    """The values (which JSON can hold) that the processes give, in their order."""
    import jax

    count = jax.process_count()
    if count == 1:
        return [value]
    key = f"fewvid/all/{next(_calls)}"
    client().key_value_set(f"{key}/{jax.process_index()}", json.dumps(value))
    return [json.loads(_get(f"{key}/{index}")) for index in range(count)]


def _get(key: str) -> str:
    import jax

    while True:
        try:
            return client().blocking_key_value_get(key, WAIT_MS)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
