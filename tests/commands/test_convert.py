"""`convert` as a user types it; the packaged model goes out and comes in without torch."""

import importlib.util
import json
import re

import pytest

import fewvid
from fewvid.__main__ import main


def convert(*given):
    return main(["convert", *map(str, given)])


def test_the_packaged_model_out_and_in(tmp_path, capsys):
    out, again = tmp_path / "hf", tmp_path / "again"
    assert convert("export", "shapes", "--out", out) == 0
    assert "llm (LlamaForCausalLM), adapter" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["adapter", "llm"]
    assert json.loads((out / "llm/config.json").read_text())["model_type"] == "llama"
    assert convert("import", out, "--out", again) == 0
    assert "arrays" in capsys.readouterr().out
    assert fewvid.load(again).config == fewvid.load("shapes").config
    for command in (("export", "shapes"), ("import", out)):
        assert convert(*command, "--out", again) == 2
        assert "--out" in capsys.readouterr().err


def folder(tmp_path, config):
    (tmp_path / "source").mkdir()
    if config is not None:
        (tmp_path / "source/config.json").write_text(json.dumps(config))
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "has no config.json"),
        ({}, "model_type is None, and fewvid imports llava"),
        ({"model_type": "qwen_2"}, "Did you mean 'qwen2'"),
        ([], "config.json is not a JSON object"),
        ({"model_type": "qwen2"}, "holds a language model alone (qwen2); give both parts"),
        ({"model_type": "clip"}, "holds an encoder alone (clip); give both parts"),
        ({"model_type": "llava"}, "has no model.safetensors"),
        (
            {"model_type": "llava", "vision_config": {"model_type": "siglip_vision_model"}},
            "vision_feature_select_strategy of this llava is 'default', and fewvid has 'full'",
        ),
        (
            {"model_type": "llava", "text_config": {"model_type": "llama", "hidden_act": "gelu"}},
            "hidden_act of this llama is 'gelu'",
        ),
    ],
)
def test_what_is_not_imported_is_said_in_one_line(config, said, tmp_path, capsys):
    assert convert("import", folder(tmp_path, config), "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["import"], "takes a whole model"),
        (["import", "a", "--encoder", "b"], "takes a whole model"),
        (["import", "--encoder", "b"], "takes a whole model"),
        (["import", "not there"], "there is no folder not there"),
        (["import", "not/there"], "the Hugging Face hub gave none"),
        (["import", "--encoder", "not there", "--llm", "b"], "there is no folder not there"),
        (["export", "shape"], "Did you mean 'shapes'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(given, said, tmp_path, capsys):
    assert convert(*given, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parity
def test_verify_says_how_far_apart_they_are(tmp_path, capsys):
    pytest.importorskip("torch", reason="needs torch (requirements-parity.txt)")
    assert convert("export", "shapes", "--out", tmp_path / "hf") == 0
    capsys.readouterr()
    assert convert("verify", "shapes", "--against", tmp_path / "hf") == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r"logits: largest difference \d\.\d+e-0[5-9] .*, KL .* nats\n", said)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is there")
def test_verify_without_torch_says_what_to_install(capsys):
    assert convert("verify", "shapes", "--against", "shapes") == 2
    assert "pip install -r requirements-parity.txt" in capsys.readouterr().err
