"""`train` reads its config: overrides, and one clear line for each mistake."""

import argparse
from pathlib import Path

import pytest

from fewvid.__main__ import main
from fewvid.commands import train
from fewvid.errors import UserError
from fewvid.training.stage import parse

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("align", "pretrain", "instruct", "s4_v", "s3_iv", "s2_s3_iv")


@pytest.mark.parametrize("arg", ["tiny", "shapes"])
@pytest.mark.parametrize("name", NAMES)
def test_every_config_is_a_run(name, arg):
    file = REPOSITORY / "configs" / f"{name}.py"
    assert parse(train.read_config(f"{file}:{arg}", [])).stages
    assert f"fewvid train --config configs/{name}.py:shapes" in file.read_text().splitlines()[0]


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
    args = parser.parse_args(
        ["--config", config, "--workdir", "d", *(f"--config.{change}" for change in changes)]
    )
    run = parse(train.read_config(args.config, args.overrides))
    assert run.seed == 3
    assert [stage.steps for stage in run.stages] == [10, 7, 12]
    assert [stage.keep for stage in run.stages] == [8, None, None]
    assert run.stages[2].sources[1].weight == 4.0
    with pytest.raises(SystemExit):
        parser.parse_args(["--config", config, "--workdir", "d", "--confg.seed=3"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.sed=3", "Did you mean .*seed"),
        ("--config.stages[0].stpes=3", "stpes"),
        ("--config.stages[9].steps=3", "stages"),
        ("--config.seed=many", "invalid literal for int"),
        ("--config.seed", "needs a value"),
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
    with pytest.raises(UserError, match=r"one of tiny, shapes\. Did you mean 'tiny'"):
        train.read_config(str(configs / "s3_iv.py:tinny"), [])
