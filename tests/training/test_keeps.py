"""Which K a step takes: each in its turn, the same for ever, whoever asks."""

from fewvid.models.config import LvlmConfig, SamplerConfig
from fewvid.training import keeps


def test_each_k_comes_once_a_round_in_orders_of_its_own():
    steps = [keeps.drawn((4, 8, 16), 0, 0, step) for step in range(60)]
    rounds = [tuple(steps[i : i + 3]) for i in range(0, 60, 3)]
    assert all(sorted(one) == [4, 8, 16] for one in rounds)
    assert len(set(rounds)) > 3


def test_it_is_a_function_of_seed_stage_and_step():
    def draws(seed, stage):
        return [keeps.drawn((2, 4), seed, stage, step) for step in range(40)]

    assert draws(3, 1) == draws(3, 1)
    assert len({tuple(draws(seed, stage)) for seed in (0, 1) for stage in (0, 1)}) == 4


def test_one_k_is_that_k_and_none_the_model_s_own():
    config = LvlmConfig(sampler=SamplerConfig(keep=6))
    assert keeps.of(config, None) == (6,)
    assert keeps.of(config, 3) == keeps.of(config, (3,)) == (3,)
    assert keeps.of(config, (16, 4, 8)) == (4, 8, 16)
    assert keeps.drawn((5,), 0, 0, 7) == 5
