"""Names of topologies, and what a wrong one is told."""

import jax
import pytest

from fewvid.errors import UserError
from fewvid.parallel import topology
from fewvid.parallel.chips import GIB


def test_names():
    assert topology.find("v5p:4x4x8").chips == 128
    found = topology.find("v5e:16x16")
    assert (found.platform, found.chips) == ("tpu", 256)
    assert found.chip is not None
    assert found.chip.hbm == 16 * GIB
    assert topology.find("gpu:h200x8").chips == 8
    assert topology.find("cpu:3").chip is None
    assert topology.find("v5e:16x16").slices == 1
    two = topology.find("2xv5e:8x16")
    assert (two.chips, two.slices, two.chip) == (256, 2, topology.find("v5e:8x16").chip)
    assert topology.find("3xgpu:h200x8").chips == 24
    assert topology.find("1xcpu:3") == topology.find("cpu:3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v7:2x2", r"'v7:2x2', wanted one such as v4:2x2x4, v5e:16x16, .*cpu:8, gpu:h200x8"),
        ("v5e", "wanted one such as"),
        ("v5e:16", "wanted 2 sides of a v5e slice, as v5e:16x16"),
        ("v5p:4x4", "wanted 3 sides of a v5p slice"),
        ("v5e:32x16", "has 512 chips, and a pod of v5e has 256"),
        ("gpu:h20x8", "a GPU of a100, h100, h200 .*Did you mean 'h200'"),
        ("gpu:h200x9", "the number of chips must be 1 to 8"),
        ("2xv5e:16", "wanted 2 sides of a v5e slice"),
        ("2xv7:2x2", r"'v7:2x2', wanted one .* or several slices as 2xv5e:16x16"),
        ("0xv5e:2x2", "wanted one such as"),
        ("2xcpu:4096", "8192 devices, wanted 4096 at most"),
        ("cpu:none", "the number of chips must be"),
    ],
)
def test_mistakes(name, message):
    with pytest.raises(UserError, match=message):
        topology.find(name)


def test_a_mesh_has_the_slices_of_its_topology():
    topology.check_slices(topology.find("2xcpu:4"), 2)
    topology.check_slices(topology.find("cpu:8"), 2)  # made up, so parted as one likes
    for name, slices in (("2xcpu:4", 1), ("gpu:h200x8", 2), ("2xgpu:h200x4", 4)):
        with pytest.raises(UserError, match=rf"{name} .* slice={slices}: give --config\.mesh"):
            topology.check_slices(topology.find(name), slices)


def test_cpu_devices_are_those_of_the_process():
    assert topology.devices(topology.find("cpu:4")) == jax.devices()[:4]
    with pytest.raises(UserError, match="this process has 8 CPU devices already"):
        topology.devices(topology.find("cpu:9"))


def test_without_libtpu_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf'pip install "jax\[tpu\]=={jax.__version__}"'):
        topology.devices(topology.find("v5e:2x4"))
