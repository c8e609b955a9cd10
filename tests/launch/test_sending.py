"""What reaches the hosts: the tree as it is, every argument as it was, secrets unseen."""

import json
import subprocess

import pytest

SECRET = "hf_do-not-show 'me' $(date)"
NASTY = [
    "train",
    "--config=my configs/c.py:tiny",
    'say "yes"',
    "it's",
    "$HOME `date` $(date) \\ \\n",
    "one\ntwo\n",
    "*",
    "",
    "--config.stages[0].keep=(4, 8)",
    "~;&|<>#!",
    "é 日本",
    "-- --env",
]
SSH = ["--hosts", "ann@a,b", "--poll", "0"]
SLURM = ["--slurm", "--nodes", "1", "--gpus", "2"]


def gpu(world, *words, **environment):
    return world.launch("gpu_run.sh", *words, **environment)


@pytest.fixture(params=["tpu", "ssh", "slurm"])
def start(request, world):
    """A function that starts a command by one of the launchers; its `.hosts` are those it uses."""

    def run(*words, **environment):
        if request.param == "tpu":
            return world.tpu(*words, **environment)
        flags = {"ssh": SSH, "slurm": SLURM}[request.param]
        return gpu(world, *flags, *words, **environment)

    run.hosts = {"tpu": ["0", "1"], "ssh": ["a", "b"], "slurm": ["0", "1"]}[request.param]
    return run


def files(world):
    """Everything that lies about afterwards, except what the fake interpreter was told to keep."""
    kept = world.folder / "runs"
    return [file for file in world.folder.rglob("*") if file.is_file() and kept not in file.parents]


def test_every_argument_arrives_as_it_was(world, start):
    result = start("--", *NASTY)
    assert result.returncode == 0, result.err
    assert [world.runs(host)[0].arguments for host in start.hosts] == [NASTY, NASTY]


def test_what_the_run_writes_has_the_usual_modes(world, start):
    assert start("--env", "HF_TOKEN", "--", "train", HF_TOKEN=SECRET).returncode == 0
    usual = int(subprocess.check_output(["bash", "-c", "umask"]), 8)
    assert world.runs(start.hosts[0])[0].umask == usual


def test_a_secret_is_in_the_environment_and_nowhere_else(world, start):
    secrets = {"HF_TOKEN": SECRET, "WANDB_API_KEY": "wandb-do-not-show"}
    result = start("--env", "HF_TOKEN", "--env=WANDB_API_KEY", "--", "train", **secrets)
    assert result.returncode == 0, result.err
    for host in start.hosts:
        seen = world.runs(host)[0].environment
        assert {name: seen[name] for name in secrets} == secrets
    assert "do-not-show" not in result.out + result.err + json.dumps(world.calls())
    shown = [file for file in files(world) if b"do-not-show" in file.read_bytes()]
    assert shown == []


def test_what_is_not_named_by_env_stays_here(world):
    assert world.tpu("--", "train", HF_TOKEN=SECRET).returncode == 0
    assert "HF_TOKEN" not in world.runs(0)[0].environment
    sent = [word for words in world.calls("gcloud") for word in words if word.endswith("/secrets")]
    assert sent == []


def test_nobody_else_on_a_host_may_read_what_was_sent(world):
    assert world.tpu("--", "train").returncode == 0
    assert (world.host(0).stat().st_mode & 0o777) == 0o700
    assert ((world.host(0) / "inbox").stat().st_mode & 0o777) == 0o700


def test_the_tree_is_sent_as_it_is(world):
    tree, here = world.host(0) / "tree", world.checkout
    (here / "runs").mkdir()
    (here / "runs" / "big.bin").write_text("ignored")
    (here / "old.py").write_text("2\n")
    (here / "new file.py").write_text("3\n")
    (here / "gone.py").unlink()
    (here / "link.py").symlink_to("old.py")
    result = world.tpu("--", "train")
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=here, text=True)
    assert f"of commit {commit[:7]}, with uncommitted changes" in result.out
    assert (tree / "COMMIT").read_text() == f"{commit}with uncommitted changes\n"
    assert (tree / "old.py").read_text() == "2\n"
    assert (tree / "new file.py").read_text() == "3\n"
    assert (tree / "link.py").readlink().name == "old.py"
    sent = {str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()}
    here_now = {str(file.relative_to(here)) for file in here.rglob("*") if file.is_file()}
    ignored = {name for name in here_now if name.startswith((".git/", "runs/"))}
    assert sent == here_now - ignored | {"COMMIT"}


def test_a_file_that_is_gone_here_goes_there(world):
    assert world.tpu("--", "train").returncode == 0
    world.until(lambda: (world.host(0) / "run.code").exists())
    (world.checkout / "old.py").unlink()
    assert world.tpu("--", "train").returncode == 0
    assert not (world.host(0) / "tree" / "old.py").exists()


def test_a_folder_that_is_no_checkout_is_one_line(world, one_line):
    (world.checkout / ".git").rename(world.folder / "git")
    assert "not a git checkout" in one_line(world.tpu("--", "train"))
