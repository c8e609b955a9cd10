"""`train --workdir gs://bucket/run`: stopped, killed, gone on with, and the same, bit for bit.

Cloud Storage is played on localhost (`tests.buckets`): gcsfs, Orbax and TensorStore are the real
ones, their credentials are not.
"""

import json
import signal

import pytest

import fewvid
from tests.training.trainer import Trainer

TERMINATED = 143


@pytest.fixture
def trainer(tmp_path, cloud):
    return Trainer(tmp_path, cloud)


@pytest.mark.timeout(400)
def test_a_run_in_a_bucket_is_stopped_killed_and_ends_in_the_same_model(trainer, cloud, bucket):
    straight, workdir = trainer.folder / "straight", f"gs://{bucket}/runs/one"
    trainer.ended(trainer.start(straight), 0)

    process = trainer.start(workdir)
    trainer.wait_for(bucket, "runs/one/checkpoints/0-align/1/", process)
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
