"""SIGKILL at chosen and at random moments of `train`, then the same command: the same, bit for bit.

FEWVID_KILLS=20 kills as often at random (3 if not given).
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fewvid.training.clock import TIMES
from tests.training import small_run

REPOSITORY = Path(__file__).resolve().parents[2]
# When the run is killed: as soon as this exists (a pattern in its working directory).
MOMENTS = (
    ".data.making/*/images/*",  # drawing the world
    "*start*",  # writing, or just after, the model that it starts from
    "checkpoints/0-align/2*",  # writing, or just after, the first checkpoint
    "stages/0-align",  # the stage is stored, its checkpoints not yet deleted
    "checkpoints/1-instruct/4",  # between two checkpoints of a stage with cached features
    "stages/1-instruct",  # before the result is written
)


def command(folder, workdir, arg="two"):
    flags = ["--config", str(folder / f"config.py:{arg}"), "--workdir", str(workdir)]
    return [sys.executable, "-m", "fewvid", "train", *flags]


@pytest.fixture
def environment(tmp_path):
    clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    # Shared by both runs: the first compiles, and the second loads what it compiled.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    return clean | cache | {"PYTHONPATH": str(REPOSITORY)}


def killed_at(moment, folder, workdir, environment):
    """Runs until the moment and kills; False where the run ended before it was seen."""
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command(folder, workdir), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                if next(workdir.glob(moment), None) is not None:
                    return True
                time.sleep(0.002)
            return False
        finally:
            process.kill()
            process.wait()


def numbers(workdir):
    """The lines of metrics.jsonl, but for the seconds that they took."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


@pytest.mark.timeout(600)
def test_killed_runs_end_in_the_same_model(tmp_path, environment):
    small_run.write(tmp_path, clips=8, steps=6, every=2)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(command(tmp_path, straight), env=environment, check=True)
    for moment in MOMENTS:
        assert killed_at(moment, tmp_path, killed, environment), (
            f"the run ended before {moment}:\n{(tmp_path / 'log').read_text()}"
        )
    assert not (killed / "model").exists()
    subprocess.run(command(tmp_path, killed), env=environment, check=True)
    for name in ("model/model.safetensors", "stages/0-align/model.safetensors"):
        assert (straight / name).read_bytes() == (killed / name).read_bytes(), name
    assert numbers(straight) == numbers(killed)
    assert not list(killed.glob(".*making")) + list((killed / "stages").glob(".*"))


# `train` that also notes the samples of every step, and the state after each stage.
NOTING = """
import json, sys
from pathlib import Path
import jax, numpy as np
from fewvid.__main__ import main
from fewvid.training import train_stage

inner = train_stage.train
folder = Path(sys.argv[sys.argv.index("--workdir") + 1])

def train(step_at, state, frozen, iterator, *, before, **options):
    def noting(step):
        program = step_at(step)
        def run(state, frozen, batch):
            with (folder / "seen").open("a") as seen:
                seen.write(json.dumps([before + step, batch["sample"].tolist()]) + "\\n")
            return program(state, frozen, batch)
        return run
    state = inner(noting, state, frozen, iterator, before=before, **options)
    np.savez(folder / f"state-{before}.npz", *jax.device_get(jax.tree.leaves(state)))
    return state

train_stage.train = train
sys.exit(main())
"""


def seen(workdir):
    """The samples of each step; a step that was taken again must have had the same."""
    steps = {}
    for line in (workdir / "seen").read_text().splitlines():
        try:
            step, samples = json.loads(line)
        except (ValueError, TypeError):  # cut short by a kill
            continue
        assert steps.setdefault(step, samples) == samples
    return steps


@pytest.mark.timeout(1800)
def test_runs_killed_at_random_end_in_the_same_state(tmp_path, environment):
    small_run.write(tmp_path, clips=8, steps=6, every=2)
    (tmp_path / "noting.py").write_text(NOTING)
    straight, killed = tmp_path / "straight", tmp_path / "killed"

    def noting(workdir):
        flags = command(tmp_path, workdir, "three")[3:]
        return [sys.executable, str(tmp_path / "noting.py"), *flags]

    for run in (straight, tmp_path / "warm"):  # the first compiles: the second is what is killed
        began = time.monotonic()
        subprocess.run(noting(run), env=environment, check=True)
    whole, rng = time.monotonic() - began, random.Random(0)
    kills = finished = 0
    while kills < int(os.environ.get("FEWVID_KILLS", "3")):
        with (tmp_path / "log").open("a") as log:
            process = subprocess.Popen(
                noting(killed), env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            process.wait(rng.uniform(0.2, 0.9) * whole)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        assert process.wait() in (0, -9), (tmp_path / "log").read_text()[-3000:]
        if (killed / "model").exists():  # finished before so many kills: once more from the start
            compare(straight, killed)
            finished += 1
            killed = tmp_path / f"killed-{finished}"
    subprocess.run(noting(killed), env=environment, check=True)
    compare(straight, killed)


def compare(straight, killed):
    assert seen(straight) == seen(killed)
    assert sorted(seen(straight)) == list(range(18))
    for before in (0, 6, 12):
        ours, theirs = (np.load(run / f"state-{before}.npz") for run in (killed, straight))
        assert ours.files == theirs.files
        for name in ours.files:
            np.testing.assert_array_equal(ours[name], theirs[name])
    for name in ("stages/0-align", "stages/1-pretrain", "model"):
        ours, theirs = (run / name / "model.safetensors" for run in (killed, straight))
        assert ours.read_bytes() == theirs.read_bytes(), name
