"""SIGKILL at chosen moments of `train`, then the same command: the same model, bit for bit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = """
from fewvid.training import recipes

def get_config(arg):
    size = recipes.size("tiny")
    stages = [recipes.align(size), recipes.instruct(size, recipes.IMAGES_AND_VIDEOS)]
    config = recipes.config(stages, start=size, chosen=size)
    config.world.update(clips=8, images=8)
    for stage in config.stages:
        stage.update(steps=6, checkpoint_every=2)
    return config
"""

# When the run is killed: as soon as this exists (a pattern in its working directory).
MOMENTS = (
    ".data.making/*/images/*",  # drawing the world
    "*start*",  # writing, or just after, the model that it starts from
    "checkpoints/0-align/2*",  # writing, or just after, the first checkpoint
    "stages/0-align",  # the stage is stored, its checkpoints not yet deleted
    "checkpoints/1-instruct/4",  # between two checkpoints of a stage with cached features
    "stages/1-instruct",  # before the result is written
)


def command(folder, workdir):
    flags = ["--config", str(folder / "config.py:tiny"), "--workdir", str(workdir)]
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


@pytest.mark.timeout(600)
def test_killed_runs_end_in_the_same_model(tmp_path, environment):
    (tmp_path / "config.py").write_text(CONFIG)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(command(tmp_path, straight), env=environment, check=True)
    for moment in MOMENTS:
        assert killed_at(moment, tmp_path, killed, environment), (
            f"the run ended before {moment}:\n{(tmp_path / 'log').read_text()}"
        )
    assert not (killed / "model").exists()
    subprocess.run(command(tmp_path, killed), env=environment, check=True)
    for name in ("model/model.safetensors", "stages/0-align/model.safetensors", "metrics.jsonl"):
        assert (straight / name).read_bytes() == (killed / name).read_bytes(), name
    assert not list(killed.glob(".*making")) + list((killed / "stages").glob(".*"))
