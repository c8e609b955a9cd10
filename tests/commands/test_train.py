"""`train` reads its config: overrides, and one clear line for each mistake."""

import argparse
import errno
import logging
import os
import re
import sys
import threading
from pathlib import Path

import jax
import pytest

from fewvid.__main__ import main
from fewvid.commands import train
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.parallel.mesh import make_mesh
from fewvid.training.plan import make_plan
from fewvid.training.stage import parse
from fewvid.training.start import model_config

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = sorted((REPOSITORY / "configs").glob("*.py"))
COMMAND = re.compile(r'^"*python -m fewvid train --config configs/(\w+)\.py:(\w+) --workdir \S+$')


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_config_is_a_run(file):
    shown = [COMMAND.fullmatch(line) for line in file.read_text().splitlines()]
    commands = [match.groups() for match in shown if match]
    assert commands[0] == (file.stem, "shapes")
    for arg in {"tiny", *(arg for _, arg in commands)}:
        assert parse(train.read_config(f"{file}:{arg}", [])).stages


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_tiny_config_can_be_planned(file):
    run = parse(train.read_config(f"{file}:tiny", []))
    model = model_config(run)
    shapes = jax.eval_shape(lambda: lvlm.init(model, jax.random.key(0)))
    plans = make_plan(run.stages, model, shapes, make_mesh())
    assert [plan.stage.name for plan in plans] == [stage.name for stage in run.stages]


def stages(name, arg):
    file = REPOSITORY / "configs" / f"{name}.py"
    run = parse(train.read_config(f"{file}:{arg}", []))
    kinds = [[str(s.manifest).split("/")[1] for s in stage.sources] for stage in run.stages]
    names = [stage.name for stage in run.stages]
    return list(zip(names, kinds, strict=True))


def test_strategies_differ_in_where_videos_come_in():
    images, both, videos = ["images.json"], ["images.json", "videos.json"], ["videos.json"]
    first, second = ("align", images), ("pretrain", images)
    assert stages("s4_v", "tiny") == [
        first,
        second,
        ("instruct", images),
        ("video", videos),
    ]
    assert stages("s3_iv", "tiny") == [first, second, ("instruct", both)]
    assert stages("s2_s3_iv", "tiny") == [
        first,
        ("pretrain", both),
        ("instruct", both),
    ]


def test_overrides():
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    config = str(REPOSITORY / "configs" / "s3_iv.py:tiny")
    changes = ["seed=3", "stages[1].steps=7", "stages[0].keep=8", "stages[2].sources[1].weight=4"]
    changes += ["stages[2].keep=(4,8,16)"]
    args = parser.parse_args(
        ["--config", config, "--workdir", "d", *(f"--config.{change}" for change in changes)]
    )
    run = parse(train.read_config(args.config, args.overrides))
    assert run.seed == 3
    assert [stage.steps for stage in run.stages] == [10, 7, 12]
    assert [stage.keep for stage in run.stages] == [8, None, (4, 8, 16)]
    assert run.stages[2].sources[1].weight == 4.0
    with pytest.raises(SystemExit):
        parser.parse_args(["--config", config, "--workdir", "d", "--confg.seed=3"])
    with pytest.raises(UserError, match=r"stages\[0\]\.keep is 'many', wanted int"):
        parse(train.read_config(config, ["--config.stages[0].keep=many"]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.sed=3", "Did you mean .*seed"),
        ("--config.stages[0].stpes=3", "stpes"),
        ("--config.stages[9].steps=3", "stages"),
        ("--config.seed=many", "invalid literal for int"),
        ("--config.seed", "needs a value"),
        ("--config.stages.0.steps=2", r"in brackets, '--config\.stages\[0\]\.steps=VALUE'"),
        ("--config.stages[0.steps=2", r"no key; .* as in '--config\.stages\[0\]\.steps=2'"),
    ],
)
def test_wrong_overrides(override, message):
    with pytest.raises(UserError, match=message):
        train.read_config(str(REPOSITORY / "configs" / "s3_iv.py:tiny"), [override])


def test_an_interrupt_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(config, workdir):
        raise KeyboardInterrupt

    monkeypatch.setattr("fewvid.training.run.run", interrupted)
    monkeypatch.setattr(train, "keep_compiled", lambda workdir: None)
    config = str(REPOSITORY / "configs" / "s3_iv.py:tiny")
    assert main(["train", "--config", config, "--workdir", str(tmp_path)]) == 130
    assert "the same command goes on from the last checkpoint" in capsys.readouterr().out


def test_wrong_files_and_arguments():
    configs = REPOSITORY / "configs"
    with pytest.raises(UserError, match=r"Did you mean 's3_iv\.py'"):
        train.read_config(str(configs / "s3iv.py:tiny"), [])
    with pytest.raises(UserError, match=r"one of tiny, shapes, vic.* Did you mean 'tiny'"):
        train.read_config(str(configs / "s3_iv.py:tinny"), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# a page\n\nof words: 3 4\n", r"mine\.py, line 3 is no Python .*get_config\(arg\)"),
        ("import os\n", r"mine\.py has no get_config\(arg\)"),
        ("\ndef get_config(arg):\n    return recipe(arg)\n", "line 3: NameError: name 'recipe'"),
        ("def get_config():\n    return {}\n", r"TypeError: get_config\(\) takes 0"),
        ("def get_config(arg):\n    return {}\n", "returned dict, wanted an ml_collections"),
    ],
)
def test_a_config_file_s_own_errors_are_its_line(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError, match=said):
        train.read_config(f"{tmp_path / 'mine.py'}:tiny", [])


def test_the_help_shows_a_key_with_brackets_in_quotes(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "'--config.stages[0].steps=50'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "while writing"), ValueError(f"write: {os.strerror(28)} [x]")]
)
def test_a_disk_that_fills_up_is_one_line(tmp_path, request, monkeypatch, capsys, error):
    def full(*_):
        try:
            raise error
        except Exception as first:
            raise RuntimeError("the writer failed") from first

    monkeypatch.chdir(request.config.rootpath)
    monkeypatch.setattr("fewvid.training.run.run", full)
    for owner, hook in ((sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, hook, getattr(owner, hook))  # as it was, after the test
    for name in ("absl", "asyncio"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    flags = ["train", "--config", "configs/instruct.py:tiny", "--workdir", str(tmp_path / "run")]
    assert main(flags) == 2
    said = capsys.readouterr().err
    assert "its disk is full; make room" in said
    assert "Traceback" not in said
    monkeypatch.setattr("fewvid.training.run.run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # and nothing else is taken for it
        main(flags)
