"""One run, several K: both train, and a run that is stopped ends in the same parameters."""

import json
import os
import signal

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from fewvid.models.config import AdapterConfig
from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.run import run


def config(**changes):
    """Queries are the kept tokens, so that the decoder reads K a frame; clips and images mixed."""
    size = recipes.size("tiny")
    made = recipes.config([recipes.align(size, recipes.IMAGES_AND_VIDEOS)], start=size, chosen=size)
    made.model.adapter.update(AdapterConfig.tiny().__dict__ | {"queries": "tokens"})
    made.world.update(clips=8, images=8)
    made.stages[0].update(steps=4, checkpoint_every=100, frames=3, keep=(2, 4), **changes)
    made.stages[0].optimizer.warmup = 0
    return made


@pytest.fixture
def compiled(tmp_path):
    """Two programs, compiled once for the three runs of a test."""
    changes = {"jax_compilation_cache_dir": str(tmp_path / "compiled")}
    changes["jax_persistent_cache_min_compile_time_secs"] = 0.1
    before = {name: getattr(jax.config, name) for name in changes}
    for values in (changes, before):
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if values is changes:
            yield


@pytest.mark.parametrize("resident", [False, True])
def test_a_stopped_run_of_two_ks_ends_in_the_same_model(resident, tmp_path, compiled):
    seen = {}

    def stop(report):
        if report.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    made = config(resident=resident)
    whole = run(made, tmp_path / "whole", on_step=lambda r: seen.update({r.step: r.metrics}))
    kept = [seen[step]["keep"] for step in (1, 2, 3, 4)]
    assert sorted(kept[:2]) == sorted(kept[2:]) == [2, 4]
    with pytest.raises(Stopped):
        run(made, tmp_path / "halves", on_step=stop)
    halves = run(made, tmp_path / "halves", on_step=print)
    one, other = ((folder / "model.safetensors").read_bytes() for folder in (whole, halves))
    assert one == other
    lines = (tmp_path / "halves" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["keep"] for line in lines] == kept
