"""`study`: which studies, of which size, and what it says of names that do not fit."""

import re

import pytest

from fewvid.__main__ import main
from fewvid.commands.study import SIZES
from fewvid.studies import recipes, run
from fewvid.studies.reports import REPORTS


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["kinds"], "unknown study 'kinds', wanted all or some of identity, .*Did you mean 'kind'"),
        (["kind", "--size", "tyni"], "invalid choice: 'tyni'"),
        (
            ["kind", "keep", "--config", "configs/studies/kind.py:tiny"],
            "--config is a config of one study, but these are kind, keep",
        ),
        (["all", "--config", "configs/studies/kind.py:tiny"], "but these are identity, keep, "),
        (
            ["keep", "--config", "configs/studies/kind.py:tiny"],
            "kind.py:tiny is a config of the study 'kind', not of 'keep'",
        ),
        (["kind", "--minutes", "-1"], "must be a number of minutes"),
        (["kind", "--share", "3/2"], "must be I/N with I from 1 to N, such as 1/4: got '3/2'"),
        (
            ["kind", "--size", "tiny", "--only", "temporl"],
            "--only 'temporl' fits no cell of 'kind', which has temporal, mixed, static. "
            "Did you mean 'temporal'",
        ),
        (["kind", "keep", "--only", "mixed"], "--only chooses cells of one study, but these are"),
        (
            ["samplers", "--size", "tiny", "--only", "*applied"],
            r"cells\[0\].of is 'all tokens', wanted one of",
        ),
    ],
)
def test_names_that_do_not_fit(tmp_path, capsys, flags, said):
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["study", *flags, "--out", str(tmp_path / "out")]))
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(said, error.replace("\n", " ")), error


def test_the_sizes_are_those_of_the_recipes():
    assert set(SIZES) == set(recipes.SIZES)


def test_several_studies_are_trained_together_and_get_a_folder_each(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        run, "train_all", lambda studies, **how: asked.append(([*studies], how)) or True
    )
    monkeypatch.setattr(run, "run", lambda study, out, **how: asked.append((study, out, how)))
    flags = ["study", "all", "--size", "tiny", "--minutes", "3", "--out", str(tmp_path)]
    assert main(flags) == 75  # the first one's numbers are not there: nothing was trained
    (together, how), (study, out, alone) = asked
    assert [one.study for one in together] == [*REPORTS]
    assert how["minutes"] == 3
    assert out == tmp_path / study.study
    assert (alone["base_dir"], alone["cells_dir"]) == (tmp_path / "base", tmp_path / "cells")
    assert alone["command"].endswith(
        "study identity --config configs/studies/identity.py:tiny --out runs/studies/identity"
    )


def test_only_some_cells_and_a_share_of_them(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(run, "run", lambda study, out, **how: asked.append((study, how)))
    flags = ["study", "kind", "--size", "tiny", "--only", "m*", "--only", "static"]
    assert main([*flags, "--out", str(tmp_path)]) == 75
    study, how = asked.pop()
    assert [cell.name for cell in study.cells] == ["mixed", "static"]
    assert how["command"].endswith("--out runs/studies/kind --only 'm*' --only static")

    def train(studies, **how):
        asked.append(([*studies], how))
        return True

    monkeypatch.setattr(run, "train_all", train)
    assert main([*flags, "--share", "2/3", "--out", str(tmp_path)]) == 0
    ((study,), how) = asked.pop()
    assert [cell.name for cell in study.cells] == ["mixed", "static"]
    assert how["share"] == (2, 3)
    assert "Share 2 of 3 is finished" in capsys.readouterr().out


def test_what_is_to_be_written_is_checked_before_all_work(tmp_path, monkeypatch, capsys):
    file = tmp_path / "file"
    file.touch()
    flags = ["study", "kind", "--size", "tiny", "--out", str(tmp_path / "out")]
    for flag, place in (("--cells", file), ("--base", file / "base")):
        assert main([*flags, flag, str(place)]) == 2
        assert f"{flag}: {file} is a file, wanted a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    # A share keeps the folder that it made: another, which begins now, counts on it.
    monkeypatch.setattr(run, "train_all", lambda studies, **how: True)
    assert main([*flags, "--share", "1/2"]) == 0
    assert (tmp_path / "out").is_dir()
