"""A loss that is no number ends a stage, and says what to change and what is left of it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from fewvid.errors import UserError
from fewvid.training.loop import check_finite


def checkpoints(latest):
    return SimpleNamespace(latest=lambda: latest, directory=Path("d"))


def test_a_finite_loss_goes_on():
    check_finite(1, 9, {"loss": 1e30, "gradient_norm": float("nan")}, checkpoints(None))


@pytest.mark.parametrize("loss", ["nan", "inf"])
def test_any_other_names_step_rate_and_checkpoint(loss):
    metrics = {"loss": float(loss), "learning_rate": 0.5}
    said = rf"the loss is {loss} at step 7 of 9 \(learning rate 0\.5\).*the last checkpoint: "
    with pytest.raises(UserError, match=said + "d/4$"):
        check_finite(7, 9, metrics, checkpoints(4))
    with pytest.raises(UserError, match=said + "none was saved$"):
        check_finite(7, 9, metrics, checkpoints(None))
