"""`train` in processes of their own, with Cloud Storage played on localhost."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.training import small_run

REPOSITORY = Path(__file__).resolve().parents[2]


class Trainer:
    """Starts `train` in processes of their own."""

    def __init__(self, folder, cloud):
        self.folder, self.cloud = folder, cloud
        small_run.write(folder, clips=4, steps=4, every=1)
        (folder / "scratch").mkdir()
        clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        self.environment = clean | {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(folder / "scratch"),
        }

    def start(self, workdir, *flags, arg="two", **variables):
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
