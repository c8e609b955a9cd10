"""The tiny model and the video of the inference tests serve the commands too."""

import json

import pytest

from fewvid.__main__ import main
from tests.inference.conftest import config, directory, params, tokenizer, video

__all__ = ["config", "directory", "params", "tokenizer", "video"]


@pytest.fixture
def planned(tmp_path, capsys, request, monkeypatch):
    """Runs `plan` with some flags and returns what it prints, and its JSON."""
    monkeypatch.chdir(request.config.rootpath)

    def run(*flags):
        file = tmp_path / "plan.json"
        assert main([*flags, "--json", str(file)]) == 0
        return capsys.readouterr().out, json.loads(file.read_text())

    return run
