"""sbatch, srun, squeue, sacct, scancel and scontrol of a cluster with one job; by the name it has.

The job runs in the background as a shell of this machine; one that asks to be queued again is.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import world

tool, *words = sys.argv[1:]
del sys.argv[1]
world.record(tool, {name: os.environ.get(name) for name in ("SLURM_JOB_ID",)})
flags = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
JOB, PIDS = "4711", world.WORLD / "pids"


def sbatch():
    if os.fork():
        return print(JOB, flush=True)
    os.setsid()
    for stream in (1, 2):  # as the launcher waits until nobody holds them
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    script = [word for word in words if not word.startswith("--")]
    output = Path(flags["output"])
    tasks = str(int(flags["nodes"]) * int(flags["ntasks-per-node"]))
    for restart in range(9):
        with output.open("a") as log, world.state() as known:
            known |= {"job": "RUNNING", "again": False}
            job = {"SLURM_JOB_ID": JOB, "SLURM_RESTART_COUNT": str(restart), "SLURM_NTASKS": tasks}
            environment = os.environ | job
            batch = subprocess.Popen(
                ["bash", *script], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        code = batch.wait()
        with world.state() as known:
            known |= {"job": "" if code == 0 else f"FAILED {code}:0"}
            if not known["again"]:
                break
    os._exit(0)


def srun():
    first = next(at for at, word in enumerate(words) if not word.startswith("--"))
    command = words[first:]
    tasks = []
    for index in range(int(os.environ["SLURM_NTASKS"])):
        with Path(flags["output"].replace("%t", str(index))).open("a") as log:
            environment = os.environ | {"SLURM_PROCID": str(index)}
            tasks.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    PIDS.write_text(" ".join(str(task.pid) for task in tasks))
    sys.exit(max(task.wait() for task in tasks))


def squeue():
    with world.state() as known:
        if known.get("job") in ("RUNNING", "PENDING"):
            print(JOB, known["job"])


def sacct():
    with world.state() as known:
        print(JOB, known.get("job") or "COMPLETED 0:0")


def scancel():
    while not PIDS.exists():
        time.sleep(0.02)
    for pid in PIDS.read_text().split():
        os.kill(int(pid), signal.SIGTERM)


def scontrol():
    with world.state() as known:
        known["again"] = True


globals()[tool]()
