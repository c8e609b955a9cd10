# ruff: noqa: E501
"""What known programs send, against what a ring sends for them."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.parallel.collectives import Sent, sent
from fewvid.parallel.mesh import ROWS as OVER
from fewvid.parallel.mesh import make_mesh

LAYERS, WIDTH, ROWS = 6, 64, 16


def text_of(function, *specs, slices=1):
    mesh = make_mesh(1, 8 // slices, 1, slices=slices)
    where = [NamedSharding(mesh, spec) for spec in specs]
    shapes = [(LAYERS, WIDTH, WIDTH), (ROWS, WIDTH)]
    given = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=at)
        for shape, at in zip(shapes, where, strict=True)
    ]
    step = jax.jit(function(mesh), out_shardings=NamedSharding(mesh, P()))
    return step.lower(*given).compile().as_text()


def layers(mesh):
    rows = NamedSharding(mesh, P("fsdp"))

    def step(weights, x):
        def layer(x, weight):
            return jax.lax.with_sharding_constraint(jnp.tanh(x @ weight), rows), None

        return jax.lax.scan(layer, x, weights)[0].sum()

    return step


def test_a_layer_s_gather_counts_as_often_as_the_loop_turns():
    found = sent(text_of(layers, P(None, "fsdp"), P("fsdp")))
    assert found["all-gather"] == Sent(LAYERS, LAYERS * WIDTH * WIDTH * 4 * 7 // 8)
    assert found["all-reduce"] == Sent(1, 2 * 4 * 7 // 8)


HLO = """
HloModule step, is_scheduled=true, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%fused.1 (p: bf16[8,4]) -> bf16[64,4] {
  %all-gather.1 = bf16[64,4]{1,0:T(8,128)(2,1)} all-gather(%p), channel_id=1, replica_groups=mesh['a'=4,'b'=2] {'a'}, dimensions={0}
}

%fused.2 (p: bf16[8,4]) -> bf16[64,4] {
  %all-gather.2 = bf16[64,4]{1,0:T(8,128)(2,1)} all-gather(%p), channel_id=1, replica_groups=mesh['a'=4,'b'=2] {'a'}, dimensions={0}
}

%all-reduce-scatter.3 (p: f32[64]) -> f32[8] {
  %all-reduce.3 = f32[64]{0} all-reduce(%p), channel_id=2, replica_groups=[1,8]<=[8], to_apply=%add
  ROOT %slice = f32[8]{0} dynamic-slice(%all-reduce.3)
}

%condition (p: (s32[])) -> pred[] {
  %limit = s32[]{:T(128)} constant(5)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

%body (p: (s32[])) -> (s32[]) {
  %x = bf16[64,4]{1,0} fusion(%p), kind=kOutput, calls=%fused.1
  %y = bf16[64,4]{1,0} fusion(%x), kind=kOutput, calls=%fused.2
  %z = f32[8]{0} fusion(%y), kind=kCustom, calls=%all-reduce-scatter.3
}

ENTRY %main (p: (s32[])) -> f32[] {
  %loop = (s32[]) while(%p), condition=%condition, body=%body
  %start = (f32[4]{0}, f32[16]{0}) all-gather-start(%q), channel_id=3, replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}
  %permute = (f32[10]{0}, f32[10]{0}, u32[], u32[]) collective-permute-start(%q), channel_id=4
  %sum = (f32[2]{0}, f32[6]{0}) all-reduce(%a, %b), channel_id=5, replica_groups={}, to_apply=%add
}
"""


def test_a_tpu_s_program_by_hand():
    assert sent(HLO) == {
        "all-gather": Sent(6, 5 * (64 * 4 * 2 * 3 // 4) + 64 * 3 // 4),
        "all-reduce": Sent(1, 2 * 32 * 7 // 8),
        "reduce-scatter": Sent(5, 5 * 64 * 4 * 7 // 8),
        "collective-permute": Sent(1, 40),
    }


def test_a_sum_over_slices_crosses_by_one_piece_each():
    def summed(mesh):
        return lambda weights, x: weights.sum() + x.sum(0)

    text = text_of(summed, P(None, None, "fsdp"), P(OVER), slices=2)
    found = sent(text, slices=2)
    # of a row of floats over all eight, and a number over the four of each slice
    row, number = 2 * WIDTH * 4, 2 * 4
    assert found["all-reduce"].dcn == row // 8
    assert found["all-reduce"].bytes == row * 7 // 8 + number * 3 // 4
    assert sent(text)["all-reduce"].dcn == 0


GROUPS = """
HloModule step, is_scheduled=true, num_partitions=8

ENTRY %main (p: f32[]) -> f32[] {
  %a = f32[64]{0} all-gather(%p), channel_id=1, replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}, dimensions={0}
  %b = f32[64]{0} all-gather(%p), channel_id=2, replica_groups=[2,4]<=[8], dimensions={0}
  %c = f32[8]{0} reduce-scatter(%p), channel_id=3, replica_groups=[1,8]<=[2,4]T(1,0), dimensions={0}
  %d = f32[64]{0} all-to-all(%p), channel_id=4, replica_groups={{0,1,4,5},{2,3,6,7}}, dimensions={0}
  %e = f32[16]{0} collective-permute(%p), channel_id=5, source_target_pairs={{0,1},{3,4}}
  %f = f32[16]{0} collective-permute(%p), channel_id=6, source_target_pairs={{0,1},{1,2},{2,3},{3,0}}
}
"""


def test_what_crosses_is_in_the_groups():
    assert sent(GROUPS, slices=2) == {
        "all-gather": Sent(2, 64 * 4 // 2 + 64 * 4 * 3 // 4, 64 * 4 // 2),
        "reduce-scatter": Sent(1, 8 * 4 * 7, 8 * 4),
        "all-to-all": Sent(1, 64 * 4 * 3 // 4, 64 * 4 // 2),
        "collective-permute": Sent(2, 2 * 16 * 4, 16 * 4),
    }


MEGASCALE = """
HloModule step, is_scheduled=true, num_partitions=4

ENTRY %main (p: f32[]) -> f32[] {
  %sum = f32[64]{0} all-reduce(%p), channel_id=2, replica_groups={{0,1,2,3}}, to_apply=%add
  %send = (f32[2,8]{1,0:T(8,128)}, u32[], token[]) send(%x, %after-all), channel_id=2, is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime",_xla_megascale_target="{1,2,3,4}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv = (f32[2,8]{1,0:T(8,128)}, u32[], token[]) recv(%after-all), channel_id=1, is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime",_xla_megascale_target="{1,2,3,4}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %send.1 = (bf16[16]{0}, u32[], token[]) send(%x, %after-all), channel_id=4, is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="ALL_GATHER"}
  %send.2 = ((f32[16]{0}, f32[4]{0}), u32[], token[]) send(%x, %after-all), channel_id=6, is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="REDUCE_SCATTER"}
  %send.3 = (f32[16]{0}, u32[], token[]) send(%x, %after-all), channel_id=8, is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="ONE_TO_ONE"}
  %send.4 = (f32[16]{0}, u32[], token[]) send(%x, %after-all), channel_id=9
}
"""


def test_what_a_slice_of_tpus_sends_by_its_hosts():
    assert sent(MEGASCALE, slices=4, devices=16) == {
        "all-gather": Sent(1, 3 * 32, 3 * 32),
        "all-reduce": Sent(2, 2 * 64 * 4 * 3 // 4 + 2 * 64 * 3 // 4, 2 * 64 * 3 // 4),
        "reduce-scatter": Sent(1, 80 * 3 // 4, 80 * 3 // 4),
        "collective-permute": Sent(1, 64, 64),
    }
    unknown = MEGASCALE.replace("ONE_TO_ONE", "ONE_TO_MANY")
    with pytest.raises(ValueError, match="ONE_TO_MANY"):
        sent(unknown, slices=4, devices=16)
