"""`plan` end to end: on made-up CPU devices, for a GPU by formulas, for a TPU where libtpu is."""

import importlib.util

import pytest

from fewvid.__main__ import main

TINY = ["plan", "--config", "configs/instruct.py:tiny"]


def test_cpu_devices(planned):
    said, found = planned(*TINY, "--topology", "cpu:8", "--config.mesh.fsdp=4")
    assert "instruct on cpu:8: 8 chips, mesh data=2 fsdp=4 tensor=1" in said
    assert "not estimated: no data sheet" in said
    assert found["mesh"] == {"slice": 1, "data": 2, "fsdp": 4, "tensor": 1}
    (stage,) = found["stages"]
    assert stage["fits"]
    held = stage["held"]
    # a row a device: 4 frames of 16 tokens encoded before, 96 ids of three kinds, 8 answers of
    # three, a time and whether it is one of each frame, and where the row is from
    assert held["batch"] == 4 * 16 * (32 * 2 + 4) + 4 * (96 * 3 + 8 * 3) + 4 * (4 + 1) + 4
    assert held["optimizer"] == 2 * held["trained"] + 8  # two moments, and a counter each
    assert stage["temporaries"] >= held["trained"]  # the gradients are there
    assert stage["links"]["all-gather"]["bytes"] > 0
    assert stage["links"]["all-reduce"]["times"] >= 1


def test_several_slices(planned):
    flags = ["--topology", "cpu:8", "--config.mesh.slice=2", "--config.mesh.fsdp=4"]
    said, found = planned(*TINY, *flags)
    assert "instruct on cpu:8: 8 chips, mesh slice=2 data=1 fsdp=4 tensor=1" in said
    (stage,) = found["stages"]
    # Each slice sums its gradients, and a device sends its piece of them to its like.
    trained = stage["held"]["trained"]
    sums = stage["links"]["all-reduce"]
    assert trained <= sums["dcn"] < 1.2 * trained
    assert "of it over DCN" in said


def test_several_hosts_of_gpus_by_formula(planned):
    flags = ["plan", "--config", "configs/instruct.py:vicuna_7b", "--topology", "2xgpu:h200x4"]
    said, found = planned(*flags, "--config.mesh.slice=2")
    (stage,) = found["stages"]
    assert found["chips"] == 8
    crossing = sum(each["dcn"] for each in stage["links"].values())
    assert stage["links"]["all-reduce"]["dcn"] == crossing
    # half of float32 weights are their gradients in bfloat16, and of those each piece is sent once
    assert crossing == pytest.approx(stage["held"]["trained"] / 2, rel=1e-3)
    assert stage["estimate"]["dcn"] == pytest.approx(crossing / 50e9)
    assert "between slices 50 GB/s of DCN a chip" in said
    said, found = planned(*flags, "--search")
    assert "--config.mesh.slice=2 --config.mesh.data=" in said
    assert {one["mesh"]["slice"] for one in found["stages"][0]["settings"]} == {2}


def test_a_gpu_is_counted_without_a_compiler(planned):
    flags = ["plan", "--config", "configs/s3_iv.py:vicuna_7b", "--topology", "gpu:h200x8"]
    said, found = planned(*flags, "--config.stages[2].batch_size=32")
    assert [stage["stage"] for stage in found["stages"]] == ["align", "pretrain", "instruct"]
    stage = found["stages"][-1]
    assert stage["compile_seconds"] is None
    # float32 weights and two moments of all but the encoder, over eight chips
    held = stage["held"]
    assert (held["trained"] + held["optimizer"]) / 1e9 == pytest.approx(12 * 6.757 / 8, rel=0.005)
    useful = sum(part["useful"] for part in stage["parts"].values())
    assert stage["estimate"]["mfu_best"] == pytest.approx(
        useful / (8 * 989e12) / stage["estimate"]["best"]
    )
    assert stage["a_day"]["videos"][0] == pytest.approx(32 * 86_400 / stage["estimate"]["best"])
    assert "MFU" in said
    assert "videos" in said


def test_what_does_not_fit_is_told_what_to_change(planned):
    flags = ["plan", "--config", "configs/instruct.py:vicuna_7b", "--topology"]
    said, found = planned(*flags, "gpu:h100x1")
    assert not found["stages"][0]["fits"]
    assert "does not fit" in said
    assert "leaves too little room: take a slice of more chips" in said
    said, _ = planned(*flags, "gpu:h100x8", "--config.stages[0].batch_size=1024")
    assert "128 rows a chip at once are too many: '--config.stages[0].accumulate=2'" in said
    said, _ = planned(*flags, "gpu:h200x8", "--config.mesh.fsdp=1", "--config.mesh.data=-1")
    assert "split what every data group keeps whole: --config.mesh.data=1" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology", "v8:2x2"], "wanted one such as v4:2x2x4"),
        (["--topology", "cpu:8", "--config.mesh.data=3"], "mesh data=3, fsdp=1, tensor=1 does not"),
        (
            ["--topology", "cpu:8", "--config.stages[0].batch_size=9"],
            "batch_size 9 does not divide",
        ),
        (
            ["--topology", "2xcpu:4"],
            "--topology 2xcpu:4 has 2 slices, and the mesh has slice=1: give --config.mesh.slice=2",
        ),
        (
            ["--topology", "gpu:h200x8", "--config.mesh.slice=2"],
            "is one slice, and the mesh has slice=2: give --config.mesh.slice=1, or name what has "
            "so many, as 2xgpu:h200x8",
        ),
        (["--topology", "cpu:8", "--json", "/nowhere/plan.json"], "there is no folder /nowhere"),
        (["--topology", "cpu:8", "--config.mehs.data=3"], "no such key"),
    ],
)
def test_mistakes(flags, message, capsys, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    assert main([*TINY, *flags]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu: jax[tpu]")
def test_a_tpu_slice_that_is_not_there(planned):
    said, found = planned(*TINY, "--topology", "v5e:2x4", "--config.mesh.fsdp=8")
    (stage,) = found["stages"]
    assert stage["fits"]
    assert stage["hbm"] == 16 * 2**30
    assert stage["links"]["all-gather"]["bytes"] > 0
    assert "instruct on v5e:2x4: 8 chips" in said


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu: jax[tpu]")
def test_tpu_slices_that_are_not_there(planned):
    flags = ["--topology", "2xv5e:2x2", "--config.mesh.slice=2", "--config.mesh.fsdp=4"]
    said, found = planned(*TINY, *flags)
    (stage,) = found["stages"]
    trained = stage["held"]["trained"]
    # libtpu gives gradients to Megascale in whole tiles, but nothing else
    assert trained / 2 <= stage["links"]["all-reduce"]["dcn"] < 3 * trained
    assert (
        sum(each["dcn"] for each in stage["links"].values())
        == (stage["links"]["all-reduce"]["dcn"])
    )
    assert stage["estimate"]["dcn"] == pytest.approx(stage["links"]["all-reduce"]["dcn"] / 3.125e9)
    assert "mesh slice=2 data=1 fsdp=4 tensor=1" in said


def test_search(planned):
    flags = ["plan", "--config", "configs/instruct.py:qwen_0_5b", "--search", "--topology"]
    said, found = planned(*flags, "gpu:h100x2")
    (stage,) = found["stages"]
    best = stage["settings"][0]
    assert best["flags"] in said
    assert said.count("--config.remat=") == 5
    assert main([*flags, "cpu:8"]) == 2


def test_steps_are_measured_beside_the_plan(planned):
    said, found = planned(*TINY, "--topology", "cpu:4", "--config.mesh.fsdp=2", "--measure")
    (stage,), (took,) = found["stages"], found["measured"]
    assert took["stage"] == "instruct"
    assert took["device"] == "4 x cpu"
    assert took["times"]["seconds"] > 0
    assert took["temporaries"] == stage["temporaries"]  # it is the program that was planned
    assert 0 < took["loss"] < 20
    assert "instruct measured on 4 x cpu, made-up weights and data" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--topology", "gpu:h200x1", "--measure"],
            "needs all of --topology gpu:h200x1 (1 x gpu)",
        ),
        (["--topology", "cpu:2", "--measure", "--search"], "give one of both"),
        (["--topology", "cpu:2", "--measure", "--what", "encode"], "--measure is for --what train"),
    ],
)
def test_what_cannot_be_measured(flags, message, capsys):
    assert main([*TINY, *flags]) == 2
    assert message in capsys.readouterr().err
