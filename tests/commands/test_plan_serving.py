"""`plan --what encode` and `generate`: on made-up CPU devices, and for a GPU by formulas."""

import pytest

from fewvid.__main__ import main

TINY = ["plan", "--config", "configs/instruct.py:tiny", "--topology", "cpu:8"]
VICUNA = ["plan", "--config", "configs/instruct.py:vicuna_7b", "--topology", "gpu:h100x1"]


def test_answering_on_made_up_devices(planned):
    flags = ["--what", "generate", "--config.mesh.tensor=2", "--rows", "8", "--tokens", "10"]
    said, found = planned(*TINY, *flags)
    assert "generate on cpu:8: 8 chips, mesh data=4 fsdp=1 tensor=2" in said
    assert "8 clips of 4 frames, 16 tokens kept of each, prompts of 96 ids" in said
    # it keeps all 16 tokens, so that nothing is chosen
    assert [part["name"] for part in found["parts"]] == ["encode", "adapt", "prompt", "token"]
    assert [part["times"] for part in found["parts"]] == [1, 1, 1, 9]
    # 2 rows a group of 106 slots, keys and values of 2 layers, one head of 16 that nothing splits
    assert found["held"]["cache"] == 4 * 2 * (96 + 10) * 2 * 2 * 16
    assert all(part["temporaries"] > 0 for part in found["parts"])
    prompt = found["parts"][2]["links"]
    assert prompt["all-reduce"]["bytes"] > 0
    assert found["first"] is None
    assert "not estimated: no data sheet" in said


def test_fewer_kept_tokens_are_chosen_and_make_the_cache_smaller(planned):
    _, whole = planned(*TINY, "--what", "generate")
    flags = ["--config.stages[0].keep=4", "--config.stages[0].length=48"]
    _, few = planned(*TINY, "--what", "generate", *flags)
    assert [part["name"] for part in few["parts"]][:2] == ["encode", "select"]
    assert few["held"]["cache"] < whole["held"]["cache"]
    assert few["held"]["weights"] == whole["held"]["weights"]


def test_encoding_alone_needs_the_encoder_alone(planned):
    said, found = planned(*TINY, "--what", "encode", "--rows", "8")
    assert [part["name"] for part in found["parts"]] == ["encode"]
    assert found["held"]["cache"] == 0
    assert "at once      8 clips of 4 frames\n" in said


def test_a_gpu_is_counted_by_formulas(planned):
    """A token is bound by memory: the weights of all layers and the head, and the cache, a call."""
    said, found = planned(*VICUNA, "--what", "generate", "--tokens", "64")
    *_, prompt, token = found["parts"]
    slot = 2 * 32 * 32 * 128  # keys and values, layers, heads, numbers of a head
    weights = 2 * (32 * (4 * 4096**2 + 3 * 4096 * 11_008) + 4096 * 32_064)
    middle = found["prompt"] + 32
    assert token["estimate"]["memory"] == pytest.approx((weights + middle * 2 * slot) / 3350e9)
    assert token["estimate"]["best"] == token["estimate"]["memory"]
    assert prompt["estimate"]["best"] == prompt["estimate"]["compute"]
    best = sum(part["times"] * part["estimate"]["best"] for part in found["parts"])
    assert found["whole"][0] == pytest.approx(best)
    assert found["held"]["cache"] == (found["prompt"] + 64) * 2 * slot
    assert found["fits"]
    assert "first token  after" in said


def test_what_does_not_fit_is_advised_on(planned):
    said, found = planned(*VICUNA, "--what", "generate", "--rows", "64")
    assert not found["fits"]
    assert "change       64 rows at once are too many: --rows 32" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rows", "4"], "--rows is for --what encode or generate, and this plans train"),
        (["--what", "encode", "--tokens", "4"], "--tokens is for --what generate"),
        (["--what", "generate", "--search"], "--search is for --what train"),
        (["--what", "generate", "--rows", "3"], "make it a multiple of 8"),
        (["--what", "generate", "--tokens", "4000"], "use fewer --tokens"),
        (["--what", "generate", "--rows", "0"], "a whole number from 1 on, got '0'"),
    ],
)
def test_mistakes(capsys, request, monkeypatch, flags, said):
    monkeypatch.chdir(request.config.rootpath)
    assert main([*TINY, *flags]) == 2
    assert said in capsys.readouterr().err
