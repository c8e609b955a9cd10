"""A disk that is too small is named, with the numbers, before the first step."""

from collections import namedtuple
from functools import partial

import jax
import pytest

from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.parallel.mesh import make_mesh
from fewvid.training import recipes
from fewvid.training.plan import make_plan
from fewvid.training.room import check_room, checkpoint_bytes
from fewvid.training.sizes import model_of
from fewvid.training.stage import parse

Usage = namedtuple("Usage", "free")


def test_what_a_run_writes_is_held_against_the_disk(tmp_path, monkeypatch):
    size = recipes.size("tiny")
    run = parse(recipes.config([recipes.align(size)], start=size, chosen=size))
    model = model_of(run.model, "config.model")
    shapes = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    (plan,) = plans = make_plan(run.stages, model, shapes, make_mesh())
    whole = sum(leaf.size * 4 for leaf in jax.tree.leaves(shapes))
    trained = sum(leaf.size * 4 for leaf in jax.tree.leaves(shapes["adapter"]))
    saved = checkpoint_bytes(shapes, plan)
    assert 3 * trained <= saved <= 3 * trained + 100  # two moments, and counts
    kept = max(1, min(3, (plan.stage.steps - 1) // plan.stage.checkpoint_every))
    needed = 3 * whole + kept * saved
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(needed))
    check_room(tmp_path, shapes, plans)
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(needed - 1))
    with pytest.raises(UserError, match=r"the run writes .* GiB \(3 models of .* free; make room"):
        check_room(tmp_path, shapes, plans)
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "model").write_bytes(b"1")  # what is there already takes no more room
    check_room(tmp_path, shapes, plans)
