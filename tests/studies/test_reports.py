"""Every report draws its page and figures from results, whatever they are."""

import math
import re

import pytest

from fewvid.studies import page
from fewvid.studies.reports import REPORTS, longer, verdicts
from fewvid.studies.results import Estimate

PNG = b"\x89PNG"


# Of content the tiny study lacks a cell, and with it a figure.
STUDIES = [*((name, "tiny") for name in REPORTS), ("content", "full")]


def drawn(results, report):
    return [picture.file for picture in report.pictures if picture.there(results)]


@pytest.mark.parametrize(("name", "size"), STUDIES)
def test_a_page_has_findings_with_numbers_and_its_figures(studied, tmp_path, name, size):
    results, report = studied(name, size), REPORTS[name]
    findings = report.findings(results)
    assert findings
    assert all(re.search(r"\d", finding) for finding in findings)
    page.write(results, tmp_path, report)
    text = (tmp_path / page.FILE).read_text()
    assert text.startswith(f"# {report.title}\n")
    assert all(finding in text for finding in findings)
    assert all(cell in text for cell in results.cells)
    for file in drawn(results, report):
        assert f"({file})" in text
        assert (tmp_path / file).read_bytes().startswith(PNG)
    without = {picture.file for picture in report.pictures} - {*drawn(results, report)}
    assert without == ({"lost_mlp.png"} if (name, size) == ("content", "tiny") else set())


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(
    "how",
    [{"seeds": 1}, {"spread": 0.0}, {"only": ("direction", "colour")}],
    ids=["one seed", "no spread", "one dimension of a kind"],
)
def test_findings_of_results_that_say_little(studied, name, how):
    assert REPORTS[name].findings(studied(name, **how))


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_where_no_temporal_question_was_asked(studied, tmp_path, name):
    results = studied(name, only=("colour",), seeds=1)
    page.write(results, tmp_path, REPORTS[name])
    written = (tmp_path / page.FILE).read_text()
    assert written.startswith(f"# {REPORTS[name].title}")
    assert "nan" not in written
    assert all((tmp_path / file).stat().st_size for file in drawn(results, REPORTS[name]))


def test_a_verdict_is_what_the_whole_interval_says():
    assert verdicts.word(Estimate(0.12, 0.01), 0.1) == "Holds"
    assert verdicts.word(Estimate(0.12, 0.03), 0.1) == "Open"
    assert verdicts.word(Estimate(0.05, 0.03), 0.1) == "Does not hold"
    assert verdicts.word(Estimate(math.nan, math.nan), 0.1) == "Open"


def test_a_difference_of_exactly_nothing_is_no_gain():
    assert verdicts.gain("it is better", Estimate(0.0, 0.0)).startswith("**Does not hold**")
    assert verdicts.gain("it is not worse", Estimate(0.0, 0.0), -0.01).startswith("**Holds**")


def test_enough_is_where_more_is_no_longer_seen_to_help(studied):
    results = studied("amount", "full", spread=0.0)
    shares = {"0 %": 80, "1 %": 90, "3 %": 85, "10 %": 89, "30 %": 91, "100 %": 90, "200 %": 90}
    for name, right in shares.items():
        results.cells[name]["scores"]["clips"]["colour"].update(
            total=10_000, right=[100 * right] * 3
        )
        results.cells[name]["scores"]["clips"]["shape"].update(total=10_000, right=[5000] * 3)
    cells = list(shares)
    # 1 % equals the last too, but 3 % after it does not.
    assert verdicts.enough(results, cells, "clips", ["colour"]) == "30 %"
    assert verdicts.enough(results, cells, "clips", ["shape"]) == "0 %"
    assert verdicts.helps(30, [0, 30, 100]) == "no gain seen past 30"
    assert verdicts.helps(100, [0, 30, 100]) == "gains up to all 100"


def test_a_wide_table_is_turned(studied):
    results = studied("keep")
    columns = REPORTS["keep"].columns
    assert page.table(results, columns)[0] == "| cell | temporal | static | pictures |"
    turned = page.table(results, [*columns, *columns])
    assert turned[0] == "| exam | K = 2 | K = 16 |"
    assert len(turned) == 2 + 6


@pytest.mark.parametrize("name", ["keep", "samplers", "strategies", "amount"])
def test_what_was_trained_longer_is_compared_apart(studied, name):
    """It is in a finding of its own, and in no figure or verdict of those trained alike."""
    results = studied(name, "laptop")
    longer_cells = [cell for cell in results.cells if cell.endswith("twice the steps")]
    assert longer_cells
    found = [line for line in REPORTS[name].findings(results) if "twice the steps" in line]
    assert found
    assert not set(longer_cells) & set(longer.usual(results))
    for cell in longer_cells:
        once = longer.again(results, cell, 0)
        assert once == cell.removesuffix(", twice the steps")
        assert longer.twice(results, once) == cell
