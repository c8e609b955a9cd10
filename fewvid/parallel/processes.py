"""The start of a run of several processes: one a host on TPU and plain hosts, one a GPU on Slurm.

What the launchers set, and anyone else may:

  FEWVID_PROCESSES      how many processes the run has, or `auto`: JAX asks the TPU slice
  FEWVID_PROCESS_ID     which of them this is, from 0; not with `auto`
  FEWVID_COORDINATOR    host:port of process 0, where they meet; not with `auto`
  FEWVID_START_TIMEOUT  seconds that they wait for each other, 300 if not given
  FEWVID_LOST_TIMEOUT   seconds without a word after which one counts as lost, 100 if not given

Slurm needs none of them: what srun sets is read where a step has more than one task.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from fewvid.errors import UserError, one_line

NOT_MET = LOST = 75  # the exit code: another try may well succeed (EX_TEMPFAIL)
COUNT, INDEX, ADDRESS = "FEWVID_PROCESSES", "FEWVID_PROCESS_ID", "FEWVID_COORDINATOR"
TIMEOUT, LOST_TIMEOUT = "FEWVID_START_TIMEOUT", "FEWVID_LOST_TIMEOUT"


@dataclass(frozen=True)
class Meeting:
    """How the processes of a run find each other. count None: JAX finds out by itself."""

    count: int | None = None
    index: int | None = None
    address: str | None = None
    seconds: int = 300
    lost: int = 100


def start() -> Meeting | None:
    """Joins the other processes of the run, if it has any; call it before JAX sees a device.

    Where they do not all come in time the process ends with code 75 and one line that says which
    are missed. Returns how they met, None for a single process. Raises UserError for variables that
    make no sense.
    """
    meeting = planned(os.environ)
    if meeting is None:
        return None
    import jax

    if os.environ.get("JAX_PLATFORMS") == "cpu":
        # A CPU program from the compile cache runs its collectives in no order (jax 0.10.2), and
        # gloo takes whatever comes next for what it waits for: it aborts, or waits for ever.
        jax.config.update("jax_enable_compilation_cache", False)
        jax.config.update("jax_cpu_enable_async_dispatch", False)

    # JAX aborts at its own time-out, with a trace of C++: ours comes first.
    watch = threading.Timer(meeting.seconds, _give_up, [meeting])
    watch.daemon = True
    watch.start()
    try:
        jax.distributed.initialize(
            coordinator_address=meeting.address,
            num_processes=meeting.count,
            process_id=meeting.index,
            initialization_timeout=meeting.seconds + 60,
            # After `watch`, whose words are for people, and which takes a pause for no silence.
            heartbeat_timeout_seconds=4 * meeting.lost,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the processes of this run could not meet: {error}") from error
    finally:
        watch.cancel()
    return meeting


def planned(environ: Mapping[str, str]) -> Meeting | None:
    """What the environment says of the run; None where it is a single process."""
    seconds = _whole(environ, TIMEOUT, 1, "seconds") if TIMEOUT in environ else 300
    lost = _whole(environ, LOST_TIMEOUT, 1, "seconds") if LOST_TIMEOUT in environ else 100
    if environ.get(COUNT) == "auto":
        return Meeting(seconds=seconds, lost=lost)
    if COUNT not in environ:
        for name in (INDEX, ADDRESS):
            if name in environ:
                raise UserError(f"{name} is set and {COUNT} is not: set it to the number of them")
        tasks = environ.get("SLURM_STEP_NUM_TASKS", "1")
        several = tasks.isdecimal() and int(tasks) > 1
        return Meeting(seconds=seconds, lost=lost) if several else None
    count = _whole(environ, COUNT, 1, "processes, or auto")
    if count == 1:
        return None
    index = _whole(environ, INDEX, 0, f"from 0 to {count - 1}")
    if index >= count:
        raise UserError(f"{INDEX} is {index}, wanted 0 to {count - 1}: {COUNT} is {count}")
    address = environ.get(ADDRESS, "")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"{ADDRESS} is {address!r}, wanted host:port of process 0")
    return Meeting(count, index, address, seconds, lost)


def missing(meeting: Meeting) -> str:
    """Says, after the time-out, what is not there and what to look at."""
    waited = f"after {meeting.seconds} s ({TIMEOUT})"
    if meeting.address is None or meeting.count is None:
        return (
            f"not all processes of this run have come {waited}: see that the same command was "
            "started on every host of the slice, or by srun for every task, and look at their logs"
        )
    others = ", ".join(str(i) for i in range(meeting.count) if i != meeting.index)
    if meeting.index != 0 and not _answers(meeting.address):
        return (
            f"process {meeting.index} of {meeting.count} found nobody at {meeting.address} "
            f"{waited}: process 0 was not started there, or the port is closed to other hosts"
        )
    return (
        f"process {meeting.index} of {meeting.count} is at {meeting.address}, but not all of the "
        f"others ({others}) have come {waited}: start them, and look at the logs of their hosts"
    )


def _give_up(meeting: Meeting) -> None:
    print(one_line(missing(meeting)), file=sys.stderr, flush=True)
    os._exit(NOT_MET)  # the main thread is inside JAX, which no exception reaches


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=5):
        return True
    return False


def _whole(environ: Mapping[str, str], name: str, least: int, wanted: str) -> int:
    text = environ.get(name)
    if text is None or not text.isdecimal() or int(text) < least:
        got = "not set" if text is None else repr(text)
        raise UserError(f"{name} is {got}, wanted a whole number of {wanted}")
    return int(text)
