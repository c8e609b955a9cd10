# ruff: noqa: E501
"""What known programs send, against what a ring sends for them."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.parallel.collectives import Sent, sent
from fewvid.parallel.mesh import make_mesh

LAYERS, WIDTH, ROWS = 6, 64, 16


def text_of(function, *specs):
    mesh = make_mesh(1, 8, 1)
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
