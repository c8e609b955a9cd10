"""docs/pods.md shows what the launchers really print."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "pods.md").read_text()
SHOWN = re.findall(r"^```console\n\$ (DRY_RUN=1 .*?[^\\])\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=("tpu", "ssh", "slurm"))
def test_a_dry_run_prints_what_the_page_shows(world, command, output):
    environment = world.environment() | {"WANDB_API_KEY": "secret", "HOME": "/home/ann"}
    result = subprocess.run(
        ["bash", "-c", command], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert result.stdout == output
