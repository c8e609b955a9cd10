"""A run in this process: stopped by SIGTERM, resumed, finished, and left alone after that."""

import json
import os
import signal

import pytest

from fewvid.checkpoints import model_directory
from fewvid.errors import UserError
from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.run import run


def config():
    size = recipes.size("tiny")
    made = recipes.config([recipes.align(size)], start=size, chosen=size)
    made.world.update(clips=0, images=8)
    made.stages[0].update(steps=4, checkpoint_every=100)
    made.stages[0].optimizer.warmup = 0
    return made


def test_stop_resume_and_refuse(tmp_path):
    seen = []

    def stop_at_two(report):
        seen.append((report.name, report.step, report.steps, report.stages))
        if report.step == 1:  # reports run a step or two behind
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match="of 4"):
        run(config(), tmp_path, on_step=stop_at_two)
    assert seen[0] == ("align", 1, 4, 1)
    (saved,) = (int(path.name) for path in (tmp_path / "checkpoints" / "0-align").iterdir())
    assert saved == seen[-1][1] < 4

    changed = config()
    changed.stages[0].batch_size = 16
    with pytest.raises(UserError, match=r"config\.stages\[0\]\.batch_size: 8 -> 16"):
        run(changed, tmp_path)

    resumed = []
    model = run(config(), tmp_path, on_step=lambda report: resumed.append(report.step))
    assert resumed == list(range(saved + 1, 5))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["total_step"] for row in rows] == [1, 2, 3, 4]
    assert model_directory.load(model)[0].to_dict() == config().model.to_dict()
    assert not (tmp_path / "checkpoints" / "0-align").exists()

    before = (model / "model.safetensors").stat().st_mtime_ns
    assert run(config(), tmp_path, on_step=resumed.append) == model
    assert (model / "model.safetensors").stat().st_mtime_ns == before


def test_a_missing_manifest_is_named_before_anything_trains(tmp_path):
    made = config()
    made.stages[0].sources[0].manifest = str(tmp_path / "none.json")
    with pytest.raises(UserError, match=r"stages\[0\] \(align\): no manifest at .*none\.json"):
        run(made, tmp_path / "run", on_step=print)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_config_that_cannot_work_does_not_claim_the_workdir(tmp_path):
    made = config()
    made.stages[0].trainable = ("adaptor/.*",)
    for _ in range(2):
        with pytest.raises(UserError, match="matches no parameter"):
            run(made, tmp_path, on_step=print)
        made.stages[0].trainable = ("adoptor/.*",)


def test_two_processes_cannot_share_a_workdir(tmp_path):
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            run(config(), tmp_path, on_step=print)
