"""One run over several processes of this machine: killed, stopped, of another number, the same.

The runs are of one sample order: what one process with two devices makes, two with one each make
bit for bit, and four to 1e-5 (another mesh shape sums in another order).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fewvid.parallel.processes import LOST
from tests.training import small_run

REPOSITORY = Path(__file__).resolve().parents[2]
QUIET = 8  # seconds without a word after which a process counts as lost
TERMINATED = 143


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("hosts")
    small_run.write(made, clips=4, steps=5, every=2, mesh="data=1, fsdp=-1")
    return made


def start(folder, name, count, *flags, devices=1, only=None):
    """Starts `count` processes of a run (or the one of number `only`); their logs beside it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(REPOSITORY),
        "FEWVID_PROCESSES": str(count),
        "FEWVID_COORDINATOR": f"127.0.0.1:{port}",
        "FEWVID_LOST_TIMEOUT": str(QUIET),
    }
    command = [sys.executable, "-m", "fewvid", "train", "--workdir", str(folder / name)]
    command += ["--config", str(folder / "config.py:two"), *flags]
    processes = []
    for index in range(count) if only is None else [only]:
        with (folder / f"{name}.{index}.log").open("a") as log:
            mine = os.environ | given | {"FEWVID_PROCESS_ID": str(index)}
            processes.append(
                subprocess.Popen(command, env=mine, stdout=log, stderr=subprocess.STDOUT)
            )
    return processes


def log(folder, name, index=0):
    return (folder / f"{name}.{index}.log").read_text()


def ended(folder, name, processes, *codes):
    """Waits for all and sees that they ended as they should."""
    try:
        found = [process.wait(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert found == list(codes), "\n".join(
        log(folder, name, index)[-3000:] for index in range(len(codes))
    )


def wait_for(path, processes):
    stop = time.monotonic() + 150
    while not path.exists():
        assert time.monotonic() < stop, f"no {path} in time"
        assert all(process.poll() is None for process in processes), f"no {path} came"
        time.sleep(0.01)


def same(folder, name, within=0.0):
    """The models and the numbers of a run are those of the straight one."""
    for model in ("stages/0-align", "model"):
        ours, theirs = (
            load_file(folder / run / model / "model.safetensors") for run in (name, "straight")
        )
        assert ours.keys() == theirs.keys()
        for path, value in ours.items():
            if within and path.endswith("k/bias"):  # its gradient is 0 by nature: Adam's is noise
                continue
            np.testing.assert_allclose(value, theirs[path], rtol=0, atol=within, err_msg=path)
    ours, theirs = (
        [json.loads(line) for line in (folder / run / "metrics.jsonl").read_text().splitlines()]
        for run in (name, "straight")
    )
    assert [row["total_step"] for row in ours] == list(range(1, 11))
    for key in ("loss", "gradient_norm"):
        got, wanted = ([row[key] for row in rows] for rows in (ours, theirs))
        np.testing.assert_allclose(got, wanted, rtol=10 * within, atol=0, err_msg=key)


@pytest.fixture(scope="module")
def straight(folder):
    """One process with two devices, from start to end."""
    ended(folder, "straight", start(folder, "straight", 1, devices=2), 0)


@pytest.mark.timeout(600)
def test_two_processes_are_killed_stopped_and_one_goes_on(folder, straight):
    both = start(folder, "two", 2)
    wait_for(folder / "two/checkpoints/0-align/2", both)
    both[1].kill()
    killed = time.monotonic()
    ended(folder, "two", both, LOST, -signal.SIGKILL)
    assert time.monotonic() - killed < 3 * QUIET
    said = f"process 1 of 2 has not been heard of for {QUIET} s (FEWVID_LOST_TIMEOUT)"
    assert said in log(folder, "two")

    both = start(folder, "two", 2)
    wait_for(folder / "two/stages/0-align", both)
    both[1].send_signal(signal.SIGTERM)
    ended(folder, "two", both, TERMINATED, TERMINATED)
    saved = max(int(path.name) for path in (folder / "two/checkpoints/1-instruct").iterdir())
    for index in (0, 1):
        assert f"stopped at step {saved} of 5" in log(folder, "two", index)

    ended(folder, "two", start(folder, "two", 1, devices=2), 0)
    assert f"stage instruct goes on from step {saved}" in log(folder, "two")
    same(folder, "two")


@pytest.mark.timeout(600)
def test_one_process_is_killed_and_four_go_on(folder, straight):
    (one,) = alone = start(folder, "four", 1, devices=2)
    wait_for(folder / "four/checkpoints/0-align/2", alone)
    one.kill()
    ended(folder, "four", alone, -signal.SIGKILL)
    four = start(folder, "four", 4, "--config.mesh.slice=2", "--config.mesh.fsdp=2")
    ended(folder, "four", four, 0, 0, 0, 0)
    assert "changed since this run was last started: config.mesh.slice: 1 -> 2" in log(
        folder, "four"
    )
    same(folder, "four", within=1e-5)


@pytest.mark.timeout(120)
def test_a_mistake_of_one_process_ends_both_with_its_words(folder):
    both = start(folder, "wrong", 2, "--config.stages[0].sources[0].fraction=0.01")
    ended(folder, "wrong", both, 2, 2)
    for index in (0, 1):
        assert "fraction 0.01 of 8" in log(folder, "wrong", index)
