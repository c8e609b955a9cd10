"""The image model of the studies: from nothing, or from a trained one with larger patches."""

import dataclasses

import jax
import numpy as np
import pytest

from fewvid.checkpoints import model_directory
from fewvid.errors import UserError
from fewvid.models.config import LvlmConfig
from fewvid.models.patches import halve, halved
from fewvid.studies import base, recipes

SCALE = dataclasses.replace(
    recipes.size("tiny").scale, base_pictures=32, base_steps=2, base_batch=4, quick=True
)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """A trained model whose patches are twice as large as those of the studies."""
    out = tmp_path_factory.mktemp("coarse")
    larger = dataclasses.replace(recipes.TINY.encoder, patch_size=32)
    model = dataclasses.replace(recipes.TINY, encoder=larger).to_dict()
    scale = dataclasses.replace(SCALE, model=model, base_keep=(2,))
    return base.ensure(scale, out / "base", lambda _: None), out / "base"


def test_a_model_of_larger_patches_is_trained_on(coarse, tmp_path):
    found, directory = coarse
    scale = dataclasses.replace(SCALE, start=str(directory))
    fine = base.ensure(scale, tmp_path / "base", lambda _: None)
    assert fine.config == halved(found.config) == LvlmConfig.from_dict(scale.model)
    assert fine.chat.tokenizer.get_vocab() == found.chat.tokenizer.get_vocab()
    start = halve(found.config, found.params)
    moved = jax.tree.map(lambda new, old: float(np.abs(new - old).max()), fine.params, start)
    assert 0 < moved["encoder"]["patch"]["kernel"] < 0.1  # trained on, from there
    assert moved["adapter"]["change"]["kernel"] == 0
    # Without steps the start is the image model itself, which here has other sizes.
    with pytest.raises(UserError, match=r"other sizes than config\.scale\.model"):
        base.ensure(dataclasses.replace(scale, base_steps=0), tmp_path / "x", lambda _: None)
    other = dataclasses.replace(scale, start="shapes")
    with pytest.raises(UserError, match="nor those with patches twice as large"):
        base.ensure(other, tmp_path / "other", lambda _: None)
    assert not (tmp_path / "other").exists()


def test_a_finished_model_is_taken_as_it_is(coarse):
    found, directory = coarse
    model = found.config.to_dict()
    scale = dataclasses.replace(SCALE, model=model, start=str(directory), base_steps=0)
    again = base.ensure(scale, directory.parent / "nowhere", lambda _: None)
    assert again.digest == found.digest
    assert model_directory.load(directory)[0] == found.config
