"""What every test stands on: eight CPU devices, no network, and the sample files where they are.

FEWVID_TESTS_ON=cuda runs the tests of a GPU's kernels on one; most others want the eight.
"""

import os
from pathlib import Path

# before anything imports jax
os.environ["JAX_PLATFORMS"] = os.environ.get("FEWVID_TESTS_ON", "cpu")
if os.environ["JAX_PLATFORMS"] != "cpu":  # where float32 is multiplied in fewer bits
    os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
DEVICES = "--xla_force_host_platform_device_count"
if DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES}=8".strip()
# Eight devices share eight threads: two collectives of each at once would wait for each other.
IN_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
os.environ["XLA_FLAGS"] += f" {IN_ORDER}"
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest  # noqa: E402

from tests.buckets import serving  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def cloud():
    """Cloud Storage, played on localhost (`tests.buckets`); skips where gcsfs is not installed."""
    pytest.importorskip("gcsfs", reason="gs:// needs gcsfs: requirements-gcs.txt")
    with serving() as buckets, pytest.MonkeyPatch.context() as patch:
        for name, value in buckets.environment().items():
            patch.setenv(name, value)
        yield buckets


@pytest.fixture
def bucket(cloud):
    """The name of a new bucket."""
    name = f"bucket-{len(cloud.objects)}"
    cloud.objects[name] = {}
    return name


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos and pictures beside the checkout; skips where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no sample files at {folder.parent.name}/{folder.name} beside the checkout")
    return folder
