"""Who holds a working directory: a config that fails early gives it back, any other keeps it."""

import json

import pytest

from fewvid.errors import UserError
from fewvid.training.stage import parse
from fewvid.training.workdir import alone_in, check_same, claim


def run(rows):
    stage = {"name": "align", "trainable": (".*",), "sources": ({"manifest": "a.json"},)}
    stage |= {"steps": 9, "batch_size": rows, "length": 32, "answers": 2}
    return parse({"init_from": "shapes", "stages": (stage,)})


def fail(workdir, rows, error, *made):
    def claimed():
        with claim(workdir, run(rows)) as claimed:
            claimed.write()
            for name in made:
                (workdir / name).mkdir(parents=True)
            raise error("wrong")

    with pytest.raises(error):
        claimed()


def test_a_mistake_before_the_first_checkpoint_gives_the_directory_back(tmp_path):
    (tmp_path / "checkpoints").mkdir()  # not this run's
    fail(tmp_path, 1, UserError, "start", "data", "checkpoints/0-align")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "data"]
    check_same(tmp_path, run(2))


@pytest.mark.parametrize("made", ["checkpoints/0-align/4", "stages/0-align"])
def test_a_mistake_after_it_does_not(tmp_path, made):
    fail(tmp_path, 1, UserError, "start", made)
    with pytest.raises(UserError, match=r"another config .*batch_size: 1 -> 2"):
        check_same(tmp_path, run(2))


def test_a_claim_of_an_earlier_call_stays(tmp_path):
    fail(tmp_path, 1, KeyboardInterrupt)
    fail(tmp_path, 1, UserError)
    assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_file_in_the_way_is_named(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file is in the way"), alone_in(tmp_path / name):
        pass


def test_a_directory_of_before_a_key_was_there_is_the_same_run(tmp_path):
    fail(tmp_path, 1, KeyboardInterrupt)
    file = tmp_path / "config.json"
    stored = json.loads(file.read_text())
    for key in ("lora", "accumulate"):
        del stored["stages"][0][key]
    del stored["stages"][0]["optimizer"]["name"]
    file.write_text(json.dumps(stored))
    check_same(tmp_path, run(1))
    with pytest.raises(UserError, match=r"config \(config\.stages\[0\]\.batch_size: 1 -> 2\)"):
        check_same(tmp_path, run(2))
    file.write_text(json.dumps(stored | {"later": 1}))
    with pytest.raises(UserError, match=r"config\.later: 1 -> '\(absent\)'"):
        check_same(tmp_path, run(1))
