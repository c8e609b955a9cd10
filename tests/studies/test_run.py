"""A study from config to page: it resumes, shares what it has in common, and refuses mistakes."""

import dataclasses
import json
import threading

import pytest

from fewvid.errors import UserError
from fewvid.studies import missing, recipes, run
from fewvid.studies.compiling import Compiled, do_all
from fewvid.studies.config import parse
from fewvid.studies.results import Results
from fewvid.studies.store import Store
from fewvid.studies.together import union

TINY = recipes.size("tiny")
SMALL = dataclasses.replace(
    TINY,
    seeds=2,
    scale=dataclasses.replace(
        TINY.scale, clips=8, base_pictures=32, base_steps=2, pictures=8, test=4, steps=2, warmup=0
    ),
)


def study(*cells, exams=(recipes.CLIPS, recipes.PICTURES), name="kind"):
    return parse(recipes.study(name, SMALL, cells, exams))


def cell(name, **changes):
    return recipes.cell(SMALL, name, **changes)


KINDS = [cell("temporal", kind="temporal"), cell("mixed"), cell("static", kind="static")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(missing, "do_all", lambda jobs: said.append("compiling") or do_all(jobs))
        patch.setattr(Compiled, "make", lambda self, *args: make(self, *args, said=said))
        found = run.run(study(*KINDS), out, say=said.append, command="python", version="1")
    return out, found, said


compiled = Compiled.make


def make(self, *args, said):
    """`Compiled.make`, which says so where it was first called by what needs the program now."""
    known = len(self._programs)
    program = compiled(self, *args)
    if threading.current_thread() is threading.main_thread() and len(self._programs) > known:
        said.append("compiled while others wait")
    return program


def test_programs_are_compiled_side_by_side_before_they_are_needed(finished):
    *_, said = finished
    assert said.count("compiling") == 1  # one group of equal plans
    assert "compiled while others wait" not in said[said.index("compiling") :]


def test_what_was_measured_is_kept_with_where(tmp_path):
    cells = [cell("mixed", keep=2), cell("static", keep=4)]
    one = parse(recipes.study("keep", SMALL, cells, measure=["costs"]))
    there, elsewhere = (Store(tmp_path, "digest", where) for where in ("a GPU", "a CPU"))
    assert there.measured(one, "costs") is None
    kept = there.keep_measured(one, "costs", {"mixed": 1.5})
    assert kept == elsewhere.measured(one, "costs") == {"made_on": "a GPU", "found": {"mixed": 1.5}}
    assert there.measured(one, "identity") is None
    other = parse(recipes.study("keep", SMALL, [cell("mixed", keep=8), cells[1]]))
    assert there.measured(other, "costs") is None  # of other cells


def test_a_study_leaves_its_numbers_and_its_page(finished):
    out, found, _ = finished
    stored = json.loads((out / "results.json").read_text())
    assert stored == json.loads(json.dumps(found.values))
    assert list(stored["cells"]) == ["temporal", "mixed", "static"]
    scores = stored["cells"]["mixed"]["scores"]
    assert set(scores) == {"clips", "pictures"}
    direction = scores["clips"]["direction"]
    assert direction["kind"] == "temporal"
    assert direction["chance"] == 0.25
    assert len(direction["right"]) == 2
    assert max(direction["right"]) <= direction["total"]
    page = (out / "README.md").read_text()
    assert "| mixed |" in page
    assert "its numbers mean nothing" in page
    assert list(out.glob("*.png"))


def test_the_same_command_again_trains_nothing(finished):
    out, found, _ = finished
    said = []
    again = run.run(study(*KINDS), out, say=said.append, command="python", version="1")
    assert again.values == found.values
    assert not any("step" in line for line in said)


def test_another_study_finds_the_cell_they_share_and_time_can_run_out(finished, tmp_path):
    out, found, _ = finished
    common = {"base_dir": out / "base", "cells_dir": out / "cells"}
    said = []
    as_it_is = cell("as it is", strategy="none", kind="static")
    other = study(cell("the same", kind="temporal"), KINDS[1], as_it_is)
    late = run.run(other, tmp_path, say=said.append, minutes=0, **common)
    assert late is None
    assert "2 of 3 cells are finished" in said
    assert not (tmp_path / "results.json").exists()
    whole = run.run(other, tmp_path, say=said.append, **common)
    assert whole.cells["the same"]["scores"] == found.cells["temporal"]["scores"]


def test_several_studies_at_once_are_one_of_all_their_cells(finished, tmp_path):
    out, found, _ = finished
    few = cell("few", keep=1, of="all")
    again = cell("all again", strategy="none")
    one, two = study(*KINDS), study(cell("all", strategy="none"), few, again, name="keep")
    both = union([one, two])
    assert [c.name for c in both.cells][2:4] == ["kind: static", "keep: all"]
    assert both.cell("keep: few").of == "keep: all"
    assert both.cell("keep: few").exams == ("keep: clips", "keep: pictures")
    assert both.exam("keep: clips").medium == "video"
    said, common = [], {"base_dir": out / "base", "cells_dir": out / "cells"}
    assert run.train_all([one, two], say=said.append, **common)
    assert "3 of 6 cells are finished" in said  # as they were, under other names
    assert sum(line.startswith("keep: all") for line in said) == 1  # they are one experiment
    again = run.run(one, tmp_path, say=said.append, **common)
    assert again.cells["mixed"]["scores"] == found.cells["mixed"]["scores"]
    larger = dataclasses.replace(two, scale=dataclasses.replace(two.scale, test=5))
    with pytest.raises(UserError, match="kind and keep have another scale"):
        union([one, larger])


def test_a_cell_of_another_is_that_model_with_another_choice(finished, tmp_path):
    out, *_ = finished
    cells = [cell("all", keep=SMALL.tokens), cell("few", keep=1, sampler="stride", of="all")]
    of = study(*cells)
    said = []
    found = run.run(of, tmp_path, say=said.append, base_dir=out / "base")
    assert "findings of 'kind' compare cells" in said[-1]
    assert "These cells alone are not what" in (tmp_path / "README.md").read_text()
    assert run.fitting(found).findings(found) == run.ALONE["findings"](found)
    stored = Results(json.loads((tmp_path / "results.json").read_text()))
    assert stored.config("few")["of"] == "all"
    assert stored.cells["few"]["scores"] != stored.cells["all"]["scores"]


def test_a_damaged_file_of_results_is_named(tmp_path):
    store, of = Store(tmp_path, "base"), study(*KINDS)
    scores = {"clips": {"colour": {"right": [1]}}, "pictures": {}}
    store.keep(of, of.cells[0], scores, 1.5)
    assert store.find(of, of.cells[0]) == {"scores": scores, "seconds": 1.5, "made_on": [""]}
    assert store.find(of, of.cells[1]) is None
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    with pytest.raises(UserError, match=f"{file.name} is damaged .*remove it"):
        store.find(of, of.cells[0])
    for other in ("{}", "[]", '{"scores": {}}'):
        file.write_text(other)
        with pytest.raises(UserError, match=f"{file.name} is no finished cell; remove it"):
            store.find(of, of.cells[0])


def test_a_damaged_measure_is_named(tmp_path):
    store, of = Store(tmp_path, "base", "a machine"), study(*KINDS)
    assert store.measured(of, "costs") is None
    kept = store.keep_measured(of, "costs", {"encoder": 1.0})
    assert store.measured(of, "costs") == kept
    (file,) = tmp_path.iterdir()
    for other in ("{}", "[]", '{"found": 1}'):
        file.write_text(other)
        with pytest.raises(UserError, match=f"{file.name} holds no measure; remove it"):
            store.measured(of, "costs")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "atention"}, r"cells\[0\]\.sampler is 'atention'.*Did you mean 'attention'"),
        ({"keep": 99}, r"cells\[0\]: keep must be 1 to 16, got 99"),
        ({"strategy": "s5"}, r"strategy is 's5', wanted one of s4_v, s3_iv"),
        ({"of": "nobody"}, r"of is 'nobody'"),
        ({"exams": ("clip",)}, r"exams is 'clip', wanted one of clips, pictures.*mean 'clips'"),
        ({"variant": {"motoin": "fast"}}, r"variant is 'motoin'.*Did you mean 'motion'"),
        ({"variant": {"frames": 3}}, r"cells\[0\]\.variant: .*frames"),
        ({"sampling": {"site": "between"}}, r"site"),
        ({"adapter": {"heads": 3}}, r"heads"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(UserError, match=message):
        study(cell("one", **changes))
