"""Who ends first where one process of a run makes a mistake: never the one that keeps the store."""

import json
import os
import threading
import time

import pytest

from fewvid.buckets import Unreachable
from fewvid.errors import UserError
from fewvid.parallel import hosts
from fewvid.parallel.processes import LOST, Meeting
from fewvid.parallel.watch import ENDED, Watch

# What `exits` stops a thread with.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Store:
    """The part of JAX's key-value store that a watch uses, without JAX's processes."""

    def __init__(self):
        self.held = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.held, key
        self.held[key] = value

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.held.items() if key.startswith(folder)]


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(hosts, "client", lambda: made)
    return made


@pytest.fixture
def exits(monkeypatch):
    """The codes that the process would have ended with; the thread that asked for it stops."""
    codes = []

    def ended(code):
        codes.append(code)
        raise SystemExit

    monkeypatch.setattr(os, "_exit", ended)
    return codes


def watch(index, count, lost=2):
    made = Watch(Meeting(count, index, "localhost:1", lost=lost))
    made._index, made._count = index, count
    return made


def leaves(watched, error):
    def work():
        watched.__exit__(type(error), error, None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def note(store, index, why="a mistake", code=2, gone=()):
    store.key_value_set(
        f"{ENDED}{index}", json.dumps({"why": why, "code": code, "gone": list(gone)})
    )


def test_the_first_process_waits_until_all_others_have_read(store, exits, capsys):
    watched = watch(0, 3, lost=30)
    leaving = leaves(watched, UserError("fraction 0.01 is none"))
    looking = threading.Thread(target=watched._look, daemon=True)  # finds the note of its own
    looking.start()
    note(store, 1)
    time.sleep(0.5)
    assert not exits
    note(store, 2)
    leaving.join(timeout=10)
    assert exits == [2]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "fraction 0.01 is none" in said[0]


def test_it_does_not_wait_for_those_that_are_gone(store, exits):
    watched = watch(0, 3, lost=30)
    note(store, 2, "process 1 of 3 has not been heard of", LOST, gone=[1])
    threading.Thread(target=watched._look, daemon=True).start()
    until = time.monotonic() + 10
    while not exits and time.monotonic() < until:
        time.sleep(0.05)
    assert exits == [LOST]


def test_it_waits_no_longer_than_a_lost_one_takes(store, exits):
    began = time.monotonic()
    leaves(watch(0, 2, lost=1), UserError("no")).join(timeout=10)
    assert exits == [2]
    assert time.monotonic() - began < 5


def test_a_pause_of_this_process_is_no_silence_of_the_others(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watched, alive = watch(0, 2, lost=8), {"fewvid/alive/1": "1"}
    for pause in (0, 2, 3600, 2):  # the machine slept for an hour; 1 has not counted since
        now[0] += pause
        watched._tick()
        assert watched._silent(alive) == []
    now[0] += 2
    watched._tick()
    assert watched._silent(alive) == [1]
    assert watched._silent({"fewvid/alive/1": "2"}) == []


def test_a_storage_that_fails_one_process_ends_the_others_too(store, exits):
    leaves(watch(1, 2), Unreachable("gs://bucket/run does not answer")).join(timeout=10)
    assert exits == [LOST]  # a return would wait for the other, which waits for this one
    (said,) = (json.loads(said) for _, said in store.key_value_dir_get(ENDED))
    assert said["why"] == "gs://bucket/run does not answer"


def test_another_process_ends_at_once_with_the_words_of_the_first(store, exits, capsys):
    note(store, 0, "fraction 0.01 is none")
    looking = threading.Thread(target=watch(1, 2, lost=30)._look, daemon=True)
    looking.start()
    looking.join(timeout=10)
    assert exits == [2]
    assert "process 0 has ended: fraction 0.01 is none" in capsys.readouterr().err
