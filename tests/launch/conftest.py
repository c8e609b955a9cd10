"""A world of fakes for the launchers: a small checkout, tools on PATH that play a cloud, hosts."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SLICE = ["--tpu", "mine", "--zone", "us-west4-a", "--project", "p", "--poll", "0"]
FAKES = Path(__file__).resolve().parent / "fakes"


def put_tool(folder, name, fake, *first):
    """A program `name` in `folder` that is the fake."""
    folder.mkdir(exist_ok=True)
    words = " ".join([sys.executable, "-S", "-E", str(FAKES / f"{fake}.py"), *first])
    quick = '[ "$1" != -c ] || exit 0\n' if fake == "python" else ""  # only asked for its version
    (folder / name).write_text(f'#!/bin/sh\n{quick}exec {words} "$@"\n')
    (folder / name).chmod(0o755)


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


class World:
    """The fakes' folder: what they are to play, what they saw, and the launchers to try on them."""

    def __init__(self, folder):
        self.folder, self.checkout = folder, folder / "my checkout"
        self.tools, self.local_home = folder / "tools", folder / "local home"
        put_tool(self.tools, "gcloud", "gcloud")
        put_tool(self.tools, "ssh", "ssh")
        put_tool(self.tools, "scp", "scp")
        for name in ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol"):
            put_tool(self.tools, name, "slurm", name)
        put_tool(folder / "host-bin", "python3.12", "python")
        put_tool(self.tools, "python3.12", "python")
        hostname = folder / "host-bin" / "hostname"
        hostname.write_text("#!/bin/sh\necho t1v-w-$FAKE_HOST\n")
        hostname.chmod(0o755)
        self.local_home.mkdir()
        self.set(node=["READY"], queue=["ACTIVE"], type="v5litepod-16", workers=2)

    def set(self, **known):
        """Changes what the fakes know."""
        file = self.folder / "state.json"
        old = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(old | known))

    def launch(self, script, *words, **environment):
        """Runs a launcher; its result has `out` and `err` too."""
        result = subprocess.run(
            ["bash", str(self.checkout / "launch" / script), *words],
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        result.out, result.err = result.stdout, result.stderr
        return result

    def environment(self):
        return {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.local_home),
            "FAKE_WORLD": str(self.folder),
        }

    def tpu(self, *words, **environment):
        """tpu_run.sh for the slice of this world; the first word may be an action."""
        known = ("start", "status", "logs", "stop", "delete")
        action = [words[0]] if words and words[0] in known else []
        return self.launch("tpu_run.sh", *action, *SLICE, *words[len(action) :], **environment)

    def calls(self, tool=None):
        """The arguments of each call of a tool, or of all: lists of [tool, arguments, ...]."""
        file = self.folder / "calls.jsonl"
        found = (
            [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        )
        return found if tool is None else [call[1] for call in found if call[0] == tool]

    def verbs(self):
        """What was asked of gcloud, without the questions: `queued-resources create`, ..."""
        verbs = [" ".join(words[2:4]) for words in self.calls("gcloud")]
        return [verb for verb in verbs if not verb.endswith("describe")]

    def runs(self, host, count=1):
        """What `python -m fewvid` was given on a host, each time; waits until it was `count`."""
        file = self.folder / "runs" / f"{host}.jsonl"
        for _ in range(1000):
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) >= count:
                return [SimpleNamespace(**json.loads(line)) for line in lines]
            time.sleep(0.02)
        raise AssertionError(f"{host} ran {len(lines)} times, wanted {count}")

    def host(self, name):
        """The run's folder on a host."""
        return self.folder / "homes" / str(name) / "fewvid-run"

    def until(self, found, seconds=10):
        """Waits for found() to be true, and returns it."""
        end = time.monotonic() + seconds
        while not (got := found()):
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.02)
        return got


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A checkout with the launchers, a line in .gitignore and one commit; to be copied."""
    folder = tmp_path_factory.mktemp("checkout") / "first"
    shutil.copytree(REPOSITORY / "launch", folder / "launch")
    (folder / ".gitignore").write_text("runs/\n")
    (folder / "requirements.txt").write_text("flax\n")
    (folder / "requirements-gcs.txt").write_text("gcsfs\n")
    (folder / "old.py").write_text("1\n")
    (folder / "gone.py").write_text("1\n")
    git(folder, "init", "-q", "--template=")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def world(tmp_path, checkout):
    """A fresh world; what still runs in it is ended afterwards."""
    made = World(tmp_path)
    shutil.copytree(checkout, made.checkout)
    yield made
    for file in [*tmp_path.glob("homes/*/fewvid-run/run.pid"), tmp_path / "pids"]:
        for pid in file.read_text().split() if file.exists() else []:
            with suppress(OSError):  # it has ended
                if str(tmp_path).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def one_line():
    """A function: the one error line of a launcher that ended with exit code 2."""

    def of(result):
        assert result.returncode == 2, result.err
        assert result.err.startswith("fewvid: error: ")
        assert result.err.count("\n") == 1
        return result.err

    return of
