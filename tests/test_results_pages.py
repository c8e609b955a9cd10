"""The pages of docs/results say what their results.json says: no hand has written in them."""

import json
import re
from pathlib import Path

import pytest

from fewvid.commands.configs import load_config
from fewvid.studies import page
from fewvid.studies.base import ensure
from fewvid.studies.config import parse
from fewvid.studies.reports import REPORTS
from fewvid.studies.results import Results
from fewvid.studies.store import Store

FOLDER = Path(__file__).parent.parent / "docs" / "results"
STUDIES = sorted(file.parent.name for file in FOLDER.glob("*/results.json"))


@pytest.fixture(scope="module")
def base():
    scale = parse(load_config("configs/studies/keep.py:full")).scale
    return ensure(scale, FOLDER / "base", print)


def test_there_are_pages():
    assert set(STUDIES) <= set(REPORTS)
    assert len(STUDIES) >= 8


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_says_what_was_measured(name, tmp_path):
    results = Results(json.loads((FOLDER / name / "results.json").read_text()))
    page.write(results, tmp_path, REPORTS[name])
    written, there = (folder / page.FILE for folder in (tmp_path, FOLDER / name))
    assert written.read_text() == there.read_text()
    drawn = {file.name for file in tmp_path.glob("*.png")}
    assert drawn == {file.name for file in (FOLDER / name).glob("*.png")}
    assert results.values["config"]["size"] == "full"


@pytest.mark.parametrize("name", STUDIES)
def test_the_cells_of_a_page_are_found_again(name, base):
    study = parse(load_config(f"configs/studies/{name}.py:full"))
    store = Store(FOLDER / "cells", base.digest)
    missing = [cell.name for cell in study.cells if not store.find(study, cell)]
    assert not missing  # a change of a key would train all of it anew


def quoted(file):
    """Numbers with their intervals, "94.1 ± 1.2", as a text that a person wrote gives them."""
    text = (FOLDER.parent.parent / file).read_text()
    if file == "README.md":
        text = text.partition("## Do the claims hold?")[2].partition("\n## ")[0]
    return sorted(set(re.findall(r"\d+\.\d ± \d+\.\d", text)))


@pytest.mark.parametrize("file", ["README.md", "docs/results/README.md"])
def test_numbers_that_people_quote_stand_on_a_page(file):
    pages = "".join(page.read_text() for page in FOLDER.glob("*/README.md"))
    numbers = quoted(file)
    assert len(numbers) > 5
    assert [number for number in numbers if number not in pages] == []
