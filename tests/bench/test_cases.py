"""What is counted of a case, and the sizes that go to the child processes and back."""

import json

import pytest

from fewvid.bench import cases, sizes
from fewvid.errors import UserError
from fewvid.models.config import LvlmConfig

VICUNA = sizes.SIZES["vicuna_7b"]


@pytest.mark.parametrize("name", sizes.SIZES)
def test_a_size_is_the_same_after_json(name):
    size = sizes.SIZES[name]
    assert sizes.Size.from_dict(json.loads(json.dumps(size.to_dict()))) == size


@pytest.mark.parametrize("name", sizes.SIZES)
@pytest.mark.parametrize("work", cases.WORKS)
def test_each_case_has_a_name_of_its_own_and_a_floor(work, name):
    found = cases.WORKS[work](sizes.SIZES[name])
    assert len({case.name for case in found}) == len(found) > 0
    assert all(case.work == work and case.bytes > 0 and case.amount > 0 for case in found)


def test_what_the_large_model_is_to_cost():
    encode, prefill = cases.encode(VICUNA)[0], cases.prefill(VICUNA)[0]
    assert encode.flops / encode.amount == pytest.approx(0.381e12, rel=0.01)
    assert prefill.name == "32 x 64 + 64 = 2112 tokens"
    assert prefill.flops == pytest.approx(28.5e12, rel=0.03)
    decode = cases.decode(VICUNA)[0]
    assert decode.bytes / decode.amount == pytest.approx(14.3e9, rel=0.01)
    step = cases.train(VICUNA)[0]
    assert step.name == "4 x 2112 tokens"
    assert step.flops == pytest.approx(6 * 6.74e9 * 4 * 2112, rel=0.03)


def test_a_model_of_ones_own():
    size = sizes.of_model(LvlmConfig.tiny(), "float32", 5)
    assert (size.frames, size.keeps) == (5, (4, 16))
    # learned queries: what is read is theirs, whatever is kept
    assert cases.prefill(size)[0].name == f"5 x 4 + 32 = {5 * 4 + 32} tokens"
    assert size.length(16) == 5 * LvlmConfig.tiny().adapter.count + 32


def test_an_unknown_size_names_the_closest():
    with pytest.raises(UserError, match="Did you mean 'vicuna_7b'"):
        sizes.find("vicuna7b")
