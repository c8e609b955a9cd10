"""Operations of a step, against the counts of the model's parts."""

import jax
import pytest

from fewvid.models import flops, lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.collectives import Sent
from fewvid.parallel.mesh import AXES, make_mesh
from fewvid.training import by_formula, recipes, work
from fewvid.training.plan import make_plan
from fewvid.training.stage import parse

MODEL = LvlmConfig.tiny()
D, E = MODEL.decoder, MODEL.encoder


def planned(stage, **changes):
    size = recipes.size("tiny")
    values = recipes.config([stage(size)], start=size, chosen=size)
    values.update(changes)
    values.stages[0].cache_features = False
    run = parse(values)
    shapes = jax.eval_shape(lambda: lvlm.init(MODEL, jax.random.key(0)))
    return make_plan(run.stages, MODEL, shapes, make_mesh())[0], run


def test_a_frozen_encoder_is_run_and_a_trained_decoder_goes_back_twice():
    plan, run = planned(recipes.instruct)
    shape, found = plan.shape, work.of_step(plan, run, MODEL)
    rows, length = shape.batch_size, shape.length
    assert found["encoder"].useful == rows * shape.frames * flops.encoder(MODEL)
    one = 2 * D.width * D.vocab_size
    layers = flops.decoder(MODEL, length) - one
    assert found["decoder"].useful == 3 * rows * (layers + shape.answers * one)
    # the half of attention that causality forbids is multiplied all the same
    half = 2 * D.depth * length**2 * D.heads * D.head_dim
    assert found["decoder"].done - found["decoder"].useful == 3 * rows * half
    keep = plan.keeps[-1]
    assert found["adapter"].useful == 3 * rows * flops.adapter(MODEL, keep, shape.frames)


def test_a_frozen_decoder_has_no_gradients_of_weights():
    (aligned, run), (whole, _) = planned(recipes.align), planned(recipes.instruct)
    some = work.of_step(aligned, run, MODEL)["decoder"].useful
    assert some / work.of_step(whole, run, MODEL)["decoder"].useful == pytest.approx(2 / 3)


def test_what_is_worked_out_again_is_done_and_of_no_use():
    found = {
        name: work.of_step(*planned(recipes.pretrain, remat=name), MODEL)
        for name in ("none", "products", "full")
    }
    for part in ("encoder", "decoder"):
        assert found["none"][part].useful == found["full"][part].useful
        assert found["none"][part].done < found["full"][part].done
    assert found["none"]["decoder"].done < found["products"]["decoder"].done
    # one block of two trains: the step does not go back through the other
    once = found["none"]["encoder"].done / 2
    assert found["none"]["encoder"].useful == (1 + 2 / E.depth) * once
    assert found["full"]["encoder"].done == 2.5 * once


def test_links_by_formula():
    plan, run = planned(recipes.instruct)
    counted = {"encoder": (0, 100), "adapter": (800, 800), "decoder": (8000, 8000)}
    found = by_formula.links(
        plan, run, MODEL, {"slice": 1, "data": 1, "fsdp": 8, "tensor": 1}, counted
    )
    assert found["all-gather"].bytes == 4 * (100 + 2 * 8800) * 7 // 8
    assert found["reduce-scatter"].bytes == 4 * 8800 * 7 // 8
    assert by_formula.links(plan, run, MODEL, dict.fromkeys(AXES, 1), {}) == {}
    copies = by_formula.links(
        plan, run, MODEL, {"slice": 1, "data": 4, "fsdp": 1, "tensor": 1}, counted
    )
    assert copies["all-reduce"].bytes == 2 * 4 * 8800 * 3 // 4


def test_gradients_alone_go_from_slice_to_slice():
    plan, run = planned(recipes.instruct)
    counted = {"encoder": (0, 100), "adapter": (800, 800), "decoder": (8000, 8000)}
    mesh = {"slice": 2, "data": 2, "fsdp": 2, "tensor": 1}
    found = by_formula.links(plan, run, MODEL, mesh, counted)
    piece = 4 * 8800 // 2  # of the gradients, which fsdp has split
    # a ring of four copies; of two in another slice each sends its half of the sum, and takes one
    assert found["all-reduce"] == Sent(1, 2 * piece * 3 // 4, 2 * piece // 4)
    assert [found[kind].dcn for kind in ("all-gather", "reduce-scatter")] == [0, 0]
