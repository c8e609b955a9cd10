"""`train --workdir gs://bucket/run`: stopped, killed, gone on with, and the same, bit for bit.

Cloud Storage is played on localhost (`tests.buckets`): gcsfs, Orbax and TensorStore are the real
ones, their credentials are not.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fewvid

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = """
from fewvid.training import recipes

def get_config(arg):
    size = recipes.size("tiny")
    stages = [recipes.align(size), recipes.instruct(size, recipes.IMAGES_AND_VIDEOS)]
    config = recipes.config(stages, start=size, chosen=size)
    config.world.update(clips=4, images=8)
    if arg == "one":
        config.stages = config.stages[:1]
    for stage in config.stages:
        stage.update(steps=4, checkpoint_every=1)
    return config
"""
TERMINATED = 143


class Trainer:
    """Starts `train` in processes of their own."""

    def __init__(self, folder, cloud):
        self.folder, self.cloud = folder, cloud
        (folder / "config.py").write_text(CONFIG)
        (folder / "scratch").mkdir()
        clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        self.environment = clean | {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(folder / "scratch"),
        }

    def start(self, workdir, *flags, arg="both", **variables):
        command = [sys.executable, "-m", "fewvid", "train", "--workdir", str(workdir), *flags]
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [*command, "--config", str(self.folder / f"config.py:{arg}")],
                env=self.environment | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self):
        return (self.folder / "log").read_text()

    def ended(self, process, code):
        try:
            assert process.wait(timeout=200) == code, self.log()[-4000:]
        finally:
            process.kill()

    def wait_for(self, bucket, name, process):
        stop = time.monotonic() + 150
        while name not in self.cloud.names(bucket):
            assert time.monotonic() < stop, self.log()[-4000:]
            assert process.poll() is None, self.log()[-4000:]
            time.sleep(0.01)


@pytest.fixture
def trainer(tmp_path, cloud):
    return Trainer(tmp_path, cloud)


@pytest.mark.timeout(400)
def test_a_run_in_a_bucket_is_stopped_killed_and_ends_in_the_same_model(trainer, cloud, bucket):
    straight, workdir = trainer.folder / "straight", f"gs://{bucket}/runs/one"
    trainer.ended(trainer.start(straight), 0)

    process = trainer.start(workdir)
    trainer.wait_for(bucket, "runs/one/checkpoints/0-align/1/commit_success.txt", process)
    process.send_signal(signal.SIGTERM)
    trainer.ended(process, TERMINATED)
    assert "the same command goes on from there" in trainer.log()
    assert not list((trainer.folder / "scratch").iterdir())

    process = trainer.start(workdir)
    trainer.wait_for(bucket, "runs/one/checkpoints/1-instruct/1/commit_success.txt", process)
    process.kill()
    process.wait()
    assert list((trainer.folder / "scratch").iterdir())  # as it was when it was killed

    trainer.ended(trainer.start(workdir), 0)
    assert "stage align goes on from step" in trainer.log()
    assert "stage instruct goes on from step" in trainer.log()
    assert f"the model is in {workdir}/model" in trainer.log()
    for folder in ("model", "stages/0-align", "stages/1-instruct", "start"):
        for file in (straight / folder).iterdir():
            name = f"{folder}/{file.name}"
            assert cloud.read(bucket, f"runs/one/{name}") == file.read_bytes(), name
    metrics = cloud.read(bucket, "runs/one/metrics.jsonl")
    ours, theirs = (
        [json.loads(line) for line in text.splitlines()]
        for text in (metrics, (straight / "metrics.jsonl").read_bytes())
    )
    assert [row["total_step"] for row in ours] == list(range(1, 9))
    assert [row["loss"] for row in ours] == [row["loss"] for row in theirs]
    left = {name.split("/")[2] for name in cloud.names(bucket)}
    assert left == {
        *("config.json", ".holder.json", "start", "stages", "model", "metrics.jsonl"),
        "tensorboard",
    }
    assert not list((trainer.folder / "scratch").iterdir())

    found = fewvid.load(f"{workdir}/model")
    assert found.name == "one"


@pytest.mark.timeout(120)
def test_a_storage_that_fails_in_mid_run_ends_it_with_one_line(trainer, cloud, bucket):
    process = trainer.start(f"gs://{bucket}/run")
    trainer.wait_for(bucket, "run/start/config.json", process)
    cloud.refuse[bucket] = (403, "no longer")
    trainer.ended(process, 2)
    last = trainer.log().splitlines()[-1]
    assert last.startswith(f"fewvid: error: --workdir gs://{bucket}/run: the credentials of this")
    assert "Traceback" not in trainer.log()


@pytest.mark.timeout(400)
def test_two_processes_share_a_bucket_and_no_folder(trainer, cloud, bucket):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--config.stages[0].steps=2", "--config.mesh.data=1", "--config.mesh.fsdp=2"]
    two_devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    straight = trainer.folder / "straight"
    trainer.ended(trainer.start(straight, *flags, arg="one", **two_devices), 0)

    workdir = f"gs://{bucket}/run"
    met = {"FEWVID_PROCESSES": "2", "FEWVID_COORDINATOR": f"127.0.0.1:{port}"}
    both = [
        trainer.start(workdir, *flags, arg="one", FEWVID_PROCESS_ID=str(index), **met)
        for index in (0, 1)
    ]
    for process in both:
        trainer.ended(process, 0)
    for name in ("stages/0-align", "model"):
        file = f"{name}/model.safetensors"
        assert cloud.read(bucket, f"run/{file}") == (straight / file).read_bytes(), name
    assert not list((trainer.folder / "scratch").iterdir())
