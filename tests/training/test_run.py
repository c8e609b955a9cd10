"""A run in this process: stopped by SIGTERM, resumed, finished, and left alone after that."""

import json
import os
import re
import signal

import pytest

from fewvid.checkpoints import model_directory
from fewvid.data.shapes import write_world
from fewvid.errors import UserError
from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.progress import Silent
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


def world_of(path, clips=0, images=8):
    write_world(path, clips=clips, images=images)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest": "{w}/videos.json", "dimension": "direcshun"}, "mension 'direcshun'.*direc"),
        ({"manifest": "{w}/images.json", "fraction": 0.01}, r"sources\[0\]: fraction 0\.01 of 8"),
        ({"manifest": "shapes:train/images.json", "dimension": "speed"}, "no samples of dim"),
    ],
)
def test_a_source_of_which_nothing_is_left_claims_nothing(tmp_path, change, message):
    world, made = world_of(tmp_path / "w", clips=1), config()
    made.stages[0].sources[0].update(change)
    made.stages[0].sources[0].manifest = change["manifest"].format(w=world / "train")
    with pytest.raises(UserError, match=message):
        run(made, tmp_path / "run", on_step=print)
    assert not {"config.json", "start"} & {path.name for path in (tmp_path / "run").iterdir()}


def test_a_run_that_fails_before_its_first_checkpoint_gives_the_workdir_back(tmp_path):
    made = config()
    made.stages[0].update(max_skipped=2)
    made.stages[0].optimizer.update(learning_rate=1e30, schedule="constant")
    seen = []
    with pytest.raises(UserError) as error:
        run(made, tmp_path, on_step=seen.append)
    said = str(error.value)
    assert said.startswith(
        "config.stages[0] (align): 2 steps in a row were skipped, up to step 3 of 4 (loss nan, "
        "gradient norm nan, learning rate 1e+30; 2 skipped in all); lower "
    )
    samples = re.search(r"step 2: (.*); step 3: (.*?)\)", said).groups()
    assert [len(ids.split(", ")) for ids in samples] == [8, 8]
    assert [report.metrics["skipped"] for report in seen] == [0, 1, 2]
    assert not {"config.json", "start", "checkpoints"} & {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "data" / "world.json").exists()


class Heard(Silent):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_bad_files_are_said_once_through_the_display(tmp_path, caplog):
    world, made, heard = world_of(tmp_path / "w", images=40) / "train", config(), Heard()
    made.stages[0].sources[0].manifest = str(world / "images.json")
    made.stages[0].update(steps=6)
    bad = world / "images" / "000001.png"
    bad.write_bytes(b"no picture")
    run(made, tmp_path / "run", shown=heard)
    (line,) = [text for text in heard.said if "could not be read" in text]
    assert line.startswith(f"1 of 40 media files could not be read: {bad}: ")
    assert line.count(str(bad)) == 1
    assert caplog.messages == []
    for file in (world / "images").glob("*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(UserError) as error:
        run(made, tmp_path / "other", on_step=print)
    said = str(error.value)
    assert re.match(r"config\.stages\[0\] \(align\): already \d+ of 40 media files could not", said)
    assert "over max_bad_fraction=0.05" in said
    assert "\n" not in said


def test_a_model_that_is_not_there_yet_says_which_run_makes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = config().to_dict() | {"model": {}, "init_from": "runs/align/model"}
    with pytest.raises(UserError, match=r"first run the run whose --workdir is runs/align, or set"):
        run(made, tmp_path / "run", on_step=print)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "align.py").write_text("")
    with pytest.raises(UserError, match=r"--config configs/align\.py:shapes --workdir runs/align"):
        run(made, tmp_path / "run", on_step=print)


def test_two_processes_cannot_share_a_workdir(tmp_path):
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            run(config(), tmp_path, on_step=print)
