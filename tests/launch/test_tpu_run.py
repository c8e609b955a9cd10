"""tpu_run.sh against a gcloud that plays each state of a slice."""

import subprocess

import pytest

TRAIN = ["--", "train", "--config", "c.py", "--workdir", "gs://b/run"]
TYPE = ["--type", "v5litepod-16"]
START = ["tpu-vm ssh", "tpu-vm scp", "tpu-vm ssh", "tpu-vm ssh"]
MADE = {"node": ["CREATING", "READY"], "queue": ["WAITING_FOR_RESOURCES", "ACTIVE"]}
DELETE, CREATE = "queued-resources delete", "queued-resources create"


def test_a_ready_slice_is_used(world):
    result = world.tpu(*TRAIN)
    assert result.returncode == 0, result.err
    assert world.verbs() == START
    assert "uses mine (v5litepod-16, 2 hosts), which is READY" in result.out
    assert "started on 2 hosts" in result.out
    for worker in (0, 1):
        (run,) = world.runs(worker)
        assert run.arguments == TRAIN[1:]
        assert run.environment == {"FEWVID_PROCESSES": "auto"}
        assert run.folder == str(world.host(worker) / "tree")


@pytest.mark.parametrize(
    ("node", "queue", "verbs"),
    [
        (["CREATING", "READY"], ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"], []),
        (["READY"], ["MISSING"], []),
        (["MISSING"], ["MISSING"], [CREATE]),
        (["PREEMPTED"], ["SUSPENDED"], [DELETE, CREATE]),
        (["READY"], ["SUSPENDED"], [DELETE, CREATE]),
        (["MISSING"], ["SUSPENDED"], [DELETE, CREATE]),
        (["MISSING"], ["FAILED"], [DELETE, CREATE]),
        (["PREEMPTED"], ["MISSING"], ["tpu-vm delete", CREATE]),
        (["READY", "DELETING", "MISSING"], ["SUSPENDING", "DELETING", "MISSING"], [CREATE]),
    ],
)
def test_every_state_ends_in_a_run(world, node, queue, verbs):
    world.set(node=node, queue=queue, created=MADE, workers=1)
    result = world.tpu(*TYPE, "--spot", *TRAIN)
    assert result.returncode == 0, result.err
    assert world.verbs() == verbs + START
    if CREATE in verbs:
        (create,) = (words for words in world.calls("gcloud") if words[3] == "create")
        assert create[4:] == [
            "mine",
            "--zone=us-west4-a",
            "--project=p",
            "--node-id=mine",
            "--accelerator-type=v5litepod-16",
            "--runtime-version=v2-alpha-tpuv5-lite",
            "--spot",
            "--quiet",
        ]


@pytest.mark.parametrize(
    ("known", "flags", "words"),
    [
        ({"node": ["MISSING"], "queue": ["MISSING"]}, [], "no --type to make one of"),
        ({"node": ["PREEMPTED"], "queue": ["SUSPENDED"]}, [], "give --type to make it again"),
        ({}, ["--type", "v5p-8"], "mine is a v5litepod-16, --type is v5p-8"),
        ({"node": ["STOPPED"]}, [], "the slice mine is STOPPED: start it"),
    ],
)
def test_a_slice_that_cannot_be_had_is_one_line(world, one_line, known, flags, words):
    world.set(**known)
    assert words in one_line(world.tpu(*flags, *TRAIN))
    assert world.verbs() == []


def test_a_request_that_fails_at_once_is_not_made_for_ever(world):
    failed = {"node": ["MISSING"], "queue": ["FAILED"]}
    world.set(**failed, created=failed)
    result = world.tpu(*TYPE, *TRAIN)
    assert result.returncode == 1
    assert "the request for mine (v5litepod-16 in us-west4-a) FAILED" in result.err
    assert world.verbs() == [DELETE, CREATE]


def test_a_gcloud_that_refuses_is_not_taken_for_a_missing_slice(world):
    world.set(refuses="ERROR: (gcloud) PERMISSION_DENIED: not you")
    result = world.tpu(*TYPE, *TRAIN)
    assert result.returncode == 1
    assert "could not describe mine in us-west4-a: ERROR: (gcloud) PERMISSION_DENIED" in result.err
    assert len(world.calls()) == 1


def test_a_slice_of_no_hosts_is_not_believed(world):
    world.set(workers="")
    result = world.tpu(*TRAIN)
    assert result.returncode == 1
    assert "not how many hosts it has" in result.err


@pytest.mark.parametrize("install", ["fails_to_install", "silent"])
def test_one_worker_that_fails_starts_nobody(world, install):
    world.set(**{install: ["1"] if install == "fails_to_install" else [1]})
    result = world.tpu(*TRAIN)
    assert result.returncode == 1
    if install == "silent":
        assert "1 of 2 hosts answered (t1v-w-0)" in result.err
    else:
        assert "failed on 1 of 2 hosts: t1v-w-1 ERROR: No matching distribution" in result.err
        assert "install.log" in result.err
    assert not (world.folder / "runs").exists()


def test_an_interrupted_installation_is_made_again(world):
    world.set(fails_to_install=["1"])
    assert world.tpu(*TRAIN).returncode == 1
    world.set(fails_to_install=[])
    assert world.tpu(*TRAIN).returncode == 0
    assert [call[2] for call in world.calls() if call[0] == "pip"].count("0") == 1
    wanted = (world.folder / "homes" / "1" / "installed.txt").read_text()
    assert wanted == "flax\ngcsfs\njax[tpu]\n"  # gcsfs: its --workdir is in a bucket


def test_installs_once_for_each_hash_of_the_requirements(world):
    assert world.tpu(*TRAIN).returncode == 0
    world.until(lambda: (world.host(0) / "run.code").exists())
    assert "installed on 2 hosts already" in world.tpu(*TRAIN).out
    assert len(world.calls("pip")) == 2
    (world.checkout / "requirements.txt").write_text("flax>=1\n")
    assert world.tpu(*TRAIN).returncode == 0
    assert len(world.calls("pip")) == 4


def test_the_same_command_while_it_runs_starts_nothing(world, one_line):
    world.set(ends={"all": ["waits"]})
    assert world.tpu(*TRAIN).returncode == 0
    again = world.tpu(*TRAIN)
    assert "going on already on 2 hosts; nothing was sent" in again.out
    assert "another run is going on (t1v-w-0 t1v-w-1)" in one_line(world.tpu(*TRAIN, "--seed=2"))
    assert len(world.runs(0)) == 1


def test_what_is_left_of_a_run_is_stopped_before_it_starts_again(world):
    world.set(ends={"0": ["waits"], "1": [1, "waits"]})
    assert world.tpu(*TRAIN).returncode == 0
    world.until(lambda: (world.host(1) / "run.code").exists())
    assert world.tpu(*TRAIN).returncode == 0
    assert len(world.runs(0, 2)) == len(world.runs(1, 2)) == 2


def test_status_logs_stop_and_delete(world):
    world.set(ends={"all": ["waits"]})
    assert world.tpu(*TRAIN).returncode == 0
    world.runs(0), world.runs(1)
    status = world.tpu("status")
    assert "t1v-w-0 running" in status.out
    assert "t1v-w-1 running" in status.out
    logs = world.tpu("logs", "--lines", "1")
    assert logs.out == "==> t1v-w-0\nstep 1 of 2\n==> t1v-w-1\nstep 1 of 2\n"
    assert world.tpu("logs", "--worker", "1", "--lines=1").out == "==> t1v-w-1\nstep 1 of 2\n"
    assert world.tpu("stop").returncode == 0
    assert "t1v-w-0 ended stopped" in world.tpu("status").out
    assert "deleted mine" in world.tpu("delete").out
    assert world.verbs()[-1] == DELETE
    assert "there is no mine in us-west4-a" in world.tpu("delete").out
    gone = world.tpu("status")
    assert (gone.returncode, "node MISSING" in gone.err) == (1, True)


def test_a_log_begins_with_the_commit_and_keeps_earlier_starts(world):
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=world.checkout, text=True)
    for count in (1, 2):
        assert world.tpu(*TRAIN).returncode == 0
        world.runs(0, count)
        world.until(lambda: (world.host(0) / "run.code").exists())
    log = (world.host(0) / "run.log").read_text()
    assert log.count(f"host t1v-w-0, commit {commit.strip()} as committed") == 2
    assert log.count("step 1 of 2") == 2
