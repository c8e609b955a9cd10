"""What is said of steps that were skipped: which, on which samples, and what is left."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from fewvid.training.loop import skipped


@pytest.mark.parametrize(("latest", "kept"), [(4, "d/4"), (None, "none was saved")])
def test_skipped_steps_are_named_with_samples_rate_and_checkpoint(latest, kept):
    numbers = {"loss": float("nan"), "gradient_norm": 3.5, "learning_rate": 0.5}
    numbers |= {"skipped": 4.0, "skipped_in_a_row": 2.0}
    checkpoints = SimpleNamespace(latest=lambda: latest, directory=Path("d"))
    said = skipped(7, 9, numbers, [(6, ["a", "b"]), (7, ["c", "d"])], checkpoints)
    assert said == (
        "2 steps in a row were skipped, up to step 7 of 9 (loss nan, gradient norm 3.5, learning "
        "rate 0.5; 4 skipped in all); lower optimizer.learning_rate, lengthen optimizer.warmup, or "
        "look at the samples (step 6: a, b; step 7: c, d); the last good checkpoint: " + kept
    )
