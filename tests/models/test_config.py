"""Sizes: to and from dicts, and how many tokens the decoder reads."""

import json

import pytest

from fewvid.errors import UserError
from fewvid.models.config import (
    AdapterConfig,
    LvlmConfig,
    SamplerConfig,
    kept_tokens,
    visual_tokens_per_frame,
)


def make(queries, site, keep=None):
    adapter = AdapterConfig(queries=queries, count=4)
    return LvlmConfig(sampler=SamplerConfig(site=site, keep=keep), adapter=adapter)


def test_a_config_goes_through_json_unchanged():
    config = LvlmConfig.tiny()
    assert LvlmConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert LvlmConfig.from_dict({}) == LvlmConfig()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adaptor": {}}, r"unknown key model\.adaptor.*adapter"),
        ({"sampler": {"keeps": 3}}, r"unknown key model\.sampler\.keeps.*mean 'keep'"),
    ],
)
def test_an_unknown_key_names_the_closest(values, message):
    with pytest.raises(UserError, match=message):
        LvlmConfig.from_dict(values)


@pytest.mark.parametrize(
    ("queries", "site", "read"),
    [
        ("learned", "before", 4),  # the queries, however few tokens they read
        ("learned", "after", 3),
        ("tokens", "before", 3),
        ("tokens", "after", 3),
        ("mlp", "before", 3),
        ("mlp", "after", 3),
    ],
)
def test_how_many_tokens_the_decoder_reads_of_a_frame(queries, site, read):
    everything = 4 if queries == "learned" else 64
    assert visual_tokens_per_frame(make(queries, site), 3) == read
    assert visual_tokens_per_frame(make(queries, site, keep=3)) == read
    assert visual_tokens_per_frame(make(queries, site)) == everything


@pytest.mark.parametrize("keep", [0, -1, 65])
def test_a_number_that_cannot_be_kept_names_the_flag(keep):
    with pytest.raises(UserError, match=f"cannot keep {keep} of 64 .*--keep 1 to 64"):
        kept_tokens(make("learned", "before"), keep)


def test_after_learned_queries_there_are_only_so_many():
    with pytest.raises(UserError, match=r"cannot keep 5 of 4 .*--keep 1 to 4"):
        visual_tokens_per_frame(make("learned", "after"), 5)
