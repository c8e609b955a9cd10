"""The interpreter on a host: makes environments, `installs`, and `runs` fewvid as the test said.

state.json: fails_to_install, a list of hosts; ends, a list of what each run does: an exit code, or
`waits`, which ends with 143 when it gets SIGTERM; the last one stays.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import world

HOST = os.environ.get("FAKE_HOST", "here")
arguments = sys.argv[1:]


def venv(folder):
    (Path(folder) / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("python3.12"), Path(folder) / "bin" / "python")


def pip(*words):
    world.record("pip", HOST)
    wanted = Path(words[words.index("-r") + 1]).read_text()
    with world.state() as known:
        if HOST in known.get("fails_to_install", []):
            print("ERROR: No matching distribution found for flax")
            sys.exit(1)
    (world.home(HOST) / "installed.txt").write_text(wanted)


def fewvid(*words):
    names = ("HF_TOKEN", "WANDB_API_KEY", "FEWVID_PROCESSES", "FEWVID_PROCESS_ID")
    names += ("FEWVID_COORDINATOR", "SLURM_PROCID")
    seen = {name: os.environ[name] for name in names if name in os.environ}
    told = {"arguments": words, "environment": seen, "folder": os.getcwd(), "umask": os.umask(0)}
    number = os.environ.get("SLURM_PROCID", HOST)
    file = world.WORLD / "runs" / f"{number}.jsonl"
    file.parent.mkdir(exist_ok=True)
    before = file.read_text().count("\n") if file.exists() else 0
    with world.state() as known:
        ends = known.get("ends", {}).get(str(number), known.get("ends", {}).get("all", [0]))
    end = ends[min(before, len(ends) - 1)]
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(143))
    with file.open("a") as runs:
        runs.write(json.dumps(told) + "\n")
    print("step 1 of 2", flush=True)
    while end == "waits" and not stopped:
        time.sleep(0.02)
    sys.exit(stopped[0] if stopped else end)


{"venv": venv, "pip": pip, "fewvid": fewvid}[arguments[1]](*arguments[2:])
