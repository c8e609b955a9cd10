"""`train` in processes of their own, with Cloud Storage played on localhost."""

import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = """
from fewvid.training import recipes

def get_config(arg):
    size = recipes.size("tiny")
    stages = [recipes.align(size), recipes.instruct(size, recipes.IMAGES_AND_VIDEOS)]
    config = recipes.config(stages, start=size, chosen=size)
    config.world.update(clips=4, images=8)
    if arg == "one":
        config.stages = config.stages[:1]
    for stage in config.stages:
        stage.update(steps=4, checkpoint_every=1)
    return config
"""


class Trainer:
    """Starts `train` in processes of their own."""

    def __init__(self, folder, cloud):
        self.folder, self.cloud = folder, cloud
        (folder / "config.py").write_text(CONFIG)
        (folder / "scratch").mkdir()
        clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        self.environment = clean | {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(folder / "scratch"),
        }

    def start(self, workdir, *flags, arg="both", **variables):
        command = [sys.executable, "-m", "fewvid", "train", "--workdir", str(workdir), *flags]
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [*command, "--config", str(self.folder / f"config.py:{arg}")],
                env=self.environment | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self):
        return (self.folder / "log").read_text()

    def ended(self, process, code):
        try:
            assert process.wait(timeout=200) == code, self.log()[-4000:]
        finally:
            process.kill()

    def wait_for(self, bucket, prefix, process):
        """Returns when an object whose name begins so is in the bucket."""
        stop = time.monotonic() + 150
        while not any(name.startswith(prefix) for name in self.cloud.names(bucket)):
            assert time.monotonic() < stop, self.log()[-4000:]
            assert process.poll() is None, self.log()[-4000:]
            time.sleep(0.01)
