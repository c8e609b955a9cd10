"""Runs a stage or a strategy from a config; the same command again resumes it.

  python -m fewvid train --config configs/s3_iv.py:tiny --workdir runs/tiny

Any key of the config can be set: --config.seed=1 '--config.stages[0].steps=50' (quoted, since
brackets mean something to a shell). The result is {workdir}/model, a model directory for `chat`
and `inspect`. Ctrl-C or a kill loses at most the steps since the last checkpoint; SIGTERM saves
first and ends with exit code 143. Several processes (a pod, GPU nodes) are started by
launch/tpu_run.sh and launch/gpu_run.sh.

The working directory may be in a bucket (--workdir gs://BUCKET/FOLDER, with gcsfs installed).
Where Cloud Storage fails in a way that another try may mend, the exit code is 75.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from fewvid import buckets
from fewvid.commands import places
from fewvid.commands.configs import keep_compiled, read_config, with_overrides
from fewvid.errors import UserError, one_line
from fewvid.parallel import gpu_memory, processes

FULL = os.strerror(errno.ENOSPC)
TERMINATED = 143  # 128 + SIGTERM, as a shell reports it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `train`."""
    parser.add_argument(
        "--config", required=True, metavar="FILE[:ARG]", help="such as configs/s3_iv.py:shapes"
    )
    parser.add_argument(
        "--workdir",
        required=True,
        type=places.workdir,
        help="where the run lives: a folder or gs://BUCKET/FOLDER; names the run",
    )
    with_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Trains, or goes on, and prints where the model is."""
    config = read_config(args.config, args.overrides)
    gpu_memory.take_most()
    from fewvid.parallel.watch import Watch

    try:
        with Watch(processes.start()):
            return _run(config, args.workdir)
    except buckets.Unreachable as error:
        print(one_line(str(error)), file=sys.stderr)
        return processes.LOST


def _run(config: Any, workdir: Path | str) -> int:
    from fewvid.parallel import hosts

    if isinstance(workdir, Path):
        hosts.from_leader(lambda: places.check_folder(workdir, "--workdir"))
    else:
        workdir = str(buckets.at(workdir, "--workdir"))
    keep_compiled(workdir)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it misses torch, which is not used
    from fewvid.training.loop import Stopped
    from fewvid.training.run import run as run_stages

    try:
        model = run_stages(config, workdir)
    except Stopped as stopped:
        print(f"{stopped}; the same command goes on from there")
        return TERMINATED
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint, if there is one")
        raise
    except UserError:
        raise
    except Exception as error:
        if not _disk_is_full(error):
            if not isinstance(workdir, str):
                raise
            if (said := _refused(error, workdir)) is None:
                raise
            raise said from None
        _hush()
        full = f"--workdir {workdir}: its disk is full; make room"
        if isinstance(workdir, str):
            full = f"the disk of {tempfile.gettempdir()} is full; make room or set TMPDIR"
        raise UserError(f"{full}, and the same command goes on from the last checkpoint") from error
    print(f"the model is in {model}")
    return 0


def _refused(error: Exception, workdir: str) -> Exception | None:
    """What Cloud Storage refused, as it is to be said; None where it did not come of that."""
    said = error
    if not isinstance(error, buckets.Unreachable):
        said = buckets.refusal(error, workdir, "--workdir")
    if said:
        _hush()
    return said


def _hush() -> None:
    """Writers of logs and checkpoints would each say it again, in threads, in tasks, at exit."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).disabled = True
    threading.excepthook = sys.unraisablehook = lambda _: None


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether it came of that, as the system says it or as TensorStore quotes the system."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or FULL in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
