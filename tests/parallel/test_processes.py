"""The start of several processes: what the environment says, two that meet, one left alone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fewvid.errors import UserError
from fewvid.parallel.processes import NOT_MET, Meeting, missing, planned

REPOSITORY = Path(__file__).resolve().parents[2]
TWO = {
    "FEWVID_PROCESSES": "2",
    "FEWVID_PROCESS_ID": "1",
    "FEWVID_COORDINATOR": "node0:8476",
}
SUM = """
from fewvid.parallel import processes
processes.start()
import jax
from jax.experimental import multihost_utils
total = multihost_utils.process_allgather(jax.numpy.array(1 + jax.process_index())).sum()
print(jax.process_index(), jax.process_count(), int(total))
"""


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def process(port, index, seconds, code=SUM, *arguments):
    """Starts process `index` of two on this machine."""
    clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment = clean | {
        "PYTHONPATH": str(REPOSITORY),
        "FEWVID_PROCESSES": "2",
        "FEWVID_PROCESS_ID": str(index),
        "FEWVID_COORDINATOR": f"127.0.0.1:{port}",
        "FEWVID_START_TIMEOUT": str(seconds),
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("environ", "meeting"),
    [
        ({}, None),
        ({"FEWVID_PROCESSES": "1"}, None),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_STEP_NUM_TASKS": "8"}, Meeting()),
        ({"FEWVID_PROCESSES": "auto", "FEWVID_START_TIMEOUT": "9"}, Meeting(seconds=9)),
        (TWO, Meeting(2, 1, "node0:8476", 300)),
    ],
)
def test_what_the_environment_says(environ, meeting):
    assert planned(environ) == meeting


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"FEWVID_PROCESSES": "two"}, "FEWVID_PROCESSES is 'two', wanted"),
        ({"FEWVID_PROCESS_ID": None}, "FEWVID_PROCESS_ID is not set, wanted"),
        ({"FEWVID_PROCESS_ID": "2"}, "FEWVID_PROCESS_ID is 2, wanted 0 to 1"),
        ({"FEWVID_COORDINATOR": "node0"}, "FEWVID_COORDINATOR is 'node0', wanted host:port"),
        ({"FEWVID_PROCESSES": None}, "FEWVID_PROCESSES is not"),
        ({"FEWVID_START_TIMEOUT": "0"}, "FEWVID_START_TIMEOUT is '0', wanted"),
    ],
)
def test_variables_that_make_no_sense(change, words):
    environ = {name: value for name, value in (TWO | change).items() if value is not None}
    with pytest.raises(UserError) as error:
        planned(environ)
    assert words in str(error.value)


def test_what_is_missing_where_jax_finds_the_others():
    assert "every host of the slice" in missing(Meeting(seconds=7))


def test_two_processes_meet(port):
    both = [process(port, index, 30) for index in (0, 1)]
    ends = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], ends
    assert [out.splitlines()[-1] for out, _ in ends] == ["0 2 3", "1 2 3"]


TRAIN = """
import sys
from fewvid.__main__ import main
sys.exit(main(["train", "--config", "configs/s3_iv.py:tiny", "--workdir", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (0, "but not all of the others (1) have come after 2 s (FEWVID_START_TIMEOUT)"),
        (1, "found nobody at 127.0.0.1:{port} after 2 s (FEWVID_START_TIMEOUT): process 0 was"),
    ],
)
def test_one_of_two_ends_in_time_and_says_who_is_missing(tmp_path, port, index, words):
    alone = process(port, index, 2, TRAIN, str(tmp_path))
    _, error = alone.communicate(timeout=30)
    assert alone.returncode == NOT_MET
    assert error.count("\n") == 1
    assert words.format(port=port) in error
