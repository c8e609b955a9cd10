"""tpu_run.sh for several slices at once: one queued resource, a node for each slice."""

import pytest

TRAIN = ["--", "train", "--config", "c.py", "--workdir", "gs://b/run", "--config.mesh.slice=2"]
TWO, TYPE = ["--slices", "2"], ["--type", "v5litepod-16"]
START = [f"tpu-vm {verb}" for verb in ("ssh", "scp", "ssh", "ssh") for _ in range(2)]
MADE = {"node": ["CREATING", "READY"], "queue": ["PROVISIONING", "ACTIVE"]}
DELETE, CREATE = "queued-resources delete", "queued-resources create"


def test_all_hosts_of_all_slices_run_it(world):
    world.set(slices=2)
    result = world.tpu(*TWO, *TYPE, *TRAIN)
    assert result.returncode == 0, result.err
    assert world.verbs() == START
    assert "uses mine (2 slices of v5litepod-16, 4 hosts), which is READY" in result.out
    assert "started on 4 hosts" in result.out
    for worker in range(4):
        (run,) = world.runs(worker)
        assert run.arguments == TRAIN[1:]
        assert run.environment == {"FEWVID_PROCESSES": "auto"}


@pytest.mark.parametrize(
    ("known", "verbs"),
    [
        ({"node": ["MISSING"], "queue": ["MISSING"]}, [CREATE]),
        ({"slices": 2, "node": ["MISSING"], "queue": ["SUSPENDED"]}, [DELETE, CREATE]),
        ({"slices": 2, "node_of": {"mine-1": "PREEMPTED"}}, [DELETE, CREATE]),
        ({"slices": 2, "node": ["CREATING", "READY"], "queue": ["PROVISIONING", "ACTIVE"]}, []),
    ],
)
def test_what_is_missing_or_lost_is_made_as_one(world, known, verbs):
    world.set(**known, created=MADE, workers=1)
    result = world.tpu(*TWO, *TYPE, "--spot", *TRAIN)
    assert result.returncode == 0, result.err
    assert world.verbs() == verbs + START
    if CREATE in verbs:
        assert "creates mine (2 slices of v5litepod-16, spot)" in result.out
        (create,) = (words for words in world.calls("gcloud") if words[3] == "create")
        assert create[4:] == [
            "mine",
            "--zone=us-west4-a",
            "--project=p",
            "--node-count=2",
            "--node-prefix=mine",
            "--accelerator-type=v5litepod-16",
            "--runtime-version=v2-alpha-tpuv5-lite",
            "--spot",
            "--quiet",
        ]


@pytest.mark.parametrize(
    ("known", "flags", "words"),
    [
        ({"slices": 2}, ["--slices", "3"], "mine has no node mine-2, and --slices is 3"),
        ({"slices": 3}, TWO, "mine has more slices than --slices 2: there is a mine-2"),
        ({"slices": 2}, [], "mine is of several slices (mine-0 and so on); give --slices"),
        ({}, TWO, "mine has no node mine-0 mine-1, and --slices is 2"),
        ({"slices": 2}, [*TWO, "--type", "v5p-8"], "mine is a v5litepod-16, --type is v5p-8"),
        ({}, ["--slices", "0"], "--slices got '0', wanted a whole number of at least 1"),
    ],
)
def test_what_has_another_number_of_slices_is_left_alone(world, one_line, known, flags, words):
    world.set(**known)
    assert words in one_line(world.tpu(*TYPE, *flags, *TRAIN))
    assert world.verbs() == []


def test_a_host_of_the_second_slice_that_is_silent_starts_nobody(world):
    world.set(slices=2, silent=[3])
    result = world.tpu(*TWO, *TRAIN)
    assert result.returncode == 1
    assert "3 of 4 hosts answered (t1v-w-0 t1v-w-1 t1v-w-2)" in result.err
    assert not (world.folder / "runs").exists()


def test_status_logs_stop_and_delete(world):
    world.set(slices=2, ends={"all": ["waits"]})
    assert world.tpu(*TWO, *TRAIN).returncode == 0
    for worker in range(4):
        world.runs(worker)
    status = world.tpu("status", *TWO).out
    assert "mine is READY (2 slices of v5litepod-16, 4 hosts)" in status
    assert status.count(" running") == 4
    # side by side, and yet a log is in one piece
    logs = world.tpu("logs", *TWO, "--lines", "1").out
    assert logs == "".join(f"==> t1v-w-{worker}\nstep 1 of 2\n" for worker in range(4))
    assert world.tpu("logs", *TWO, "--worker", "2", "--lines=1").out.startswith("==> t1v-w-2\n")
    beyond = world.tpu("logs", *TWO, "--worker", "4")
    assert "--worker is 4, and mine has 4 hosts, from 0" in beyond.err
    assert world.tpu("stop", *TWO).returncode == 0
    assert world.tpu("status", *TWO).out.count(" ended stopped") == 4
    assert "deleted mine" in world.tpu("delete", *TWO).out
    assert world.verbs()[-1] == DELETE


def test_what_dies_in_one_slice_is_started_again_in_both(world):
    world.set(slices=2, workers=1, ends={"0": ["waits", 0], "1": [1, 0]})
    result = world.tpu(*TWO, "--retries", "1", *TRAIN)
    assert result.returncode == 0, result.err
    assert "ended with code 1; starts it again" in result.out
    assert len(world.runs(0)) == len(world.runs(1)) == 2


def test_a_dry_run_shows_each_node(world):
    said = world.tpu(*TWO, *TYPE, *TRAIN, DRY_RUN="1").out
    for node in ("mine-0", "mine-1"):
        assert f"+ gcloud compute tpus tpu-vm describe {node} --zone=us-west4-a" in said
        assert f"{node}:fewvid-run/inbox/ --zone=us-west4-a --project=p --worker=all" in said
        assert said.count(f"+ gcloud compute tpus tpu-vm ssh {node} ") == 3
    assert "queued-resources create mine" in said
    assert "--node-count=2 --node-prefix=mine --accelerator-type=v5litepod-16" in said
    assert world.calls() == []
