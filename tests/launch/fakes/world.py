"""What the fake tools share: a folder (FAKE_WORLD) with what was called, and one home a host."""

import fcntl
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

WORLD = Path(os.environ["FAKE_WORLD"])


def record(tool, *more):
    """Notes a call with its exact arguments, and what else is to be noted."""
    with (WORLD / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps([tool, sys.argv[1:], *more]) + "\n")


@contextmanager
def state():
    """What the test and the fakes know of the world, a dict; changes are kept."""
    with (WORLD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads((WORLD / "state.json").read_text())
        yield known
        (WORLD / "state.json").write_text(json.dumps(known))


def home(name):
    """The home directory of a host."""
    folder = WORLD / "homes" / str(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def on_host(name, command):
    """Starts the command as sshd does: a login shell's bash, in the home, with nothing of ours."""
    environment = {
        "HOME": str(home(name)),
        "PATH": f"{WORLD / 'host-bin'}:/usr/bin:/bin",
        "FAKE_WORLD": str(WORLD),
        "FAKE_HOST": str(name),
    }
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=home(name),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def copy(sources, name, target):
    """scp of files into a folder of a host's home; the folder has to be there."""
    folder = home(name) / target
    assert folder.is_dir(), f"scp: {target}: no such folder"
    for source in map(Path, sources):
        placed = folder / source.name
        placed.write_bytes(source.read_bytes())
        placed.chmod(0o600)
