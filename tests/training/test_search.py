"""The search by formulas: what it tries, that all of it fits, that the best comes first."""

import jax

from fewvid.commands.configs import load_config
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel import topology
from fewvid.parallel.mesh import make_mesh
from fewvid.training import trainable as subtree
from fewvid.training.plan import make_plan
from fewvid.training.recipe_sizes import SIZES
from fewvid.training.search import ROOM, meshes, search
from fewvid.training.stage import parse


def test_meshes_fill_the_devices_and_divide_the_heads():
    found = list(meshes(8, LvlmConfig.tiny()))  # one key-value head
    assert [mesh["data"] for mesh in found] == [1, 2, 4, 8]
    found = list(meshes(8, SIZES["qwen_0_5b"].model))  # two
    assert {mesh["tensor"] for mesh in found} == {1, 2}
    assert all(mesh["data"] * mesh["fsdp"] * mesh["tensor"] == 8 for mesh in found)
    assert {mesh["slice"] for mesh in found} == {1}
    found = list(meshes(16, SIZES["qwen_0_5b"].model, slices=2))
    assert {mesh["slice"] for mesh in found} == {2}
    assert all(mesh["data"] * mesh["fsdp"] * mesh["tensor"] == 8 for mesh in found)


def test_what_is_found_fits_and_the_best_comes_first():
    model, slice_ = SIZES["vicuna_7b"].model, topology.find("v5e:16x16")
    run = parse(load_config("configs/instruct.py:vicuna_7b"))
    shapes = jax.eval_shape(lambda: lvlm.init(model, jax.random.key(0)))
    (plan,) = make_plan(run.stages, model, shapes, make_mesh())
    counted = subtree.count(shapes, plan.trainable)
    found = search(plan, run, model, slice_, 256, counted)
    assert found
    assert slice_.chip is not None
    assert all(one.bytes <= ROOM * slice_.chip.hbm for one in found)
    rates = [one.rate for one in found]
    assert rates == sorted(rates, reverse=True)
    # 7B of float32 weights and moments cannot stand whole beside each other on 16 GiB
    assert min(one.mesh["fsdp"] * one.mesh["tensor"] for one in found) >= 8
    assert found[0].flags(0).startswith(f"--config.mesh.data={found[0].mesh['data']} --config.mesh")
