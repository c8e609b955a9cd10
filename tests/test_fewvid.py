"""The public names, and that having them costs nothing."""

import subprocess
import sys

import pytest

import fewvid


def test_public_names():
    assert set(fewvid.__all__) <= set(dir(fewvid))
    for name in fewvid.__all__:
        assert getattr(fewvid, name) is not None
    assert fewvid.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="lod"):
        fewvid.lod  # noqa: B018


def test_loading_a_model_that_is_not_there_is_a_user_error():
    with pytest.raises(fewvid.UserError, match="no model directory"):
        fewvid.load("nowhere")


def test_importing_touches_no_device():
    code = "import fewvid, sys; print(fewvid.UserError, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("False"), done.stderr
