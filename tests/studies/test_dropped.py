"""What is kept in each arm of the measure, and that each run trains on its own arm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.commands.configs import load_config
from fewvid.models import lvlm
from fewvid.parallel.paths import flatten
from fewvid.studies import dropped
from fewvid.studies.base import ensure
from fewvid.studies.config import parse
from fewvid.studies.coverage import shown
from fewvid.studies.library import Library
from fewvid.studies.plans import PICTURES
from fewvid.studies.recipes import SIZES, TINY

COUNT, KEEP = 12, 2


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    scale = parse(load_config("configs/studies/samplers.py:tiny")).scale
    return ensure(scale, tmp_path_factory.mktemp("made") / "base", lambda _: None)


@pytest.fixture(scope="module")
def drawn(base):
    library = Library(base, "float32")
    library.need(PICTURES, COUNT)
    bank = library.draw(lambda _: None)
    return dropped._arms(base, library, PICTURES, COUNT, KEEP), bank


def kept(base, corpus, queries):
    """bool[n,N] by what the program of an adapter keeps."""
    program = dropped._program(base, SIZES["tiny"].scale, queries, KEEP)
    params = dropped._start(program.model, base)
    features = lvlm.Features(corpus.tokens, corpus.response)
    seen = lvlm.see(program.model, params, features, jnp.zeros((COUNT, 1)), keep=KEEP)
    found = np.zeros((COUNT, TINY.encoder.tokens), bool)
    np.put_along_axis(found, np.asarray(seen.selection.indices)[:, 0], True, -1)
    return found


def test_every_adapter_keeps_the_same_and_off_things_nothing_of_them(base, drawn):
    arms, _ = drawn
    things = np.stack([shown(PICTURES, i, 16, 0.0).any(0)[0] for i in range(COUNT)])
    room = (~things).sum(-1) >= KEEP
    assert room.any()
    of = {name: kept(base, corpus, "tokens") for name, corpus in arms.items()}
    assert not (of["off things"] & things)[room].any()
    assert (of["random"] & things).any()
    for queries in ("mlp", "learned"):
        for name, corpus in arms.items():
            np.testing.assert_array_equal(kept(base, corpus, queries), of[name])


def test_runs_of_one_seed_differ_by_their_arm_alone(base, drawn):
    arms, bank = drawn
    program = dropped._program(base, SIZES["tiny"].scale, "mlp", KEEP)
    alike = dict.fromkeys(arms, arms["random"])
    same = flatten(dropped._train(program, base, bank, dropped._joined(alike), 2))
    apart = flatten(dropped._train(program, base, bank, dropped._joined(arms), 2))
    path = "decoder/embedding"
    np.testing.assert_array_equal(same[path][0], same[path][2])  # seed 0, in two equal arms
    assert np.abs(same[path][0] - same[path][1]).max() > 0  # another seed
    assert np.abs(apart[path][0] - apart[path][2]).max() > 0  # another arm
    np.testing.assert_allclose(apart[path][2:4], same[path][2:4], atol=1e-6)


def test_an_adapter_begins_with_the_weights_that_there_are(base):
    program = dropped._program(base, SIZES["tiny"].scale, "learned", KEEP)
    begun, known = flatten(dropped._start(program.model, base)), flatten(base.params)
    new = {path for path in begun if path not in known}
    assert new == {"adapter/queries"}
    assert all(jax.numpy.array_equal(begun[path], known[path]) for path in begun if path not in new)
