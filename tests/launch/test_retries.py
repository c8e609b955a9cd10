"""--retries: a run that ends, a slice that is taken away, a mistake that no try mends."""

from concurrent.futures import ThreadPoolExecutor

import pytest

TRAIN = ["--", "train", "--config", "c.py"]
MADE = {"node": ["READY"], "queue": ["ACTIVE"]}


def test_a_preempted_run_starts_again(world):
    world.set(ends={"all": [143, 1, 0]})
    result = world.tpu("--retries", "2", *TRAIN)
    assert result.returncode == 0, result.err
    assert "ended with code 143; starts it again (1 left after this)" in result.out
    assert "the run has ended well" in result.out
    assert len(world.runs(0)) == len(world.runs(1)) == 3


def test_the_tries_come_to_an_end(world):
    world.set(ends={"all": [143]})
    result = world.tpu("--retries", "1", *TRAIN)
    assert result.returncode == 1
    assert "ended with code 143, and there are no tries left" in result.err
    assert len(world.runs(0)) == 2


def test_a_mistake_of_the_user_is_not_tried_again(world, one_line):
    world.set(ends={"all": [2]})
    assert "code 2, a mistake" in one_line(world.tpu("--retries", "5", *TRAIN))
    assert len(world.runs(0)) == 1


def test_a_mistake_that_one_host_meets_first_is_one_too(world, one_line):
    world.set(ends={"0": [134], "1": [2]})
    assert "code 2, a mistake" in one_line(world.tpu("--retries", "5", "--poll", "1", *TRAIN))


def test_a_run_that_someone_stops_stays_stopped(world):
    world.set(ends={"all": ["waits"]})
    with ThreadPoolExecutor() as watching:
        watched = watching.submit(world.tpu, "--retries", "5", *TRAIN)
        world.runs(0), world.runs(1)
        world.until(lambda: (world.host(1) / "run.pid").exists())
        assert world.tpu("stop").returncode == 0
        result = watched.result()
    assert result.returncode == 0, result.err
    assert "the run was stopped" in result.out
    assert len(world.runs(0)) == 1


def test_one_host_that_dies_takes_the_others_along(world):
    world.set(ends={"0": ["waits", 0], "1": [1, 0]})
    result = world.tpu("--retries", "1", *TRAIN)
    assert result.returncode == 0, result.err
    assert "ended with code 1; starts it again" in result.out
    assert (world.host(0) / "run.log").read_text().count("step 1 of 2") == 2


def test_a_host_that_was_made_anew_is_a_run_that_died(world):
    # worker 1 is as it was at first: its home is empty
    world.set(ends={"all": ["waits", 0]}, after_start="anew")
    result = world.tpu("--retries", "1", *TRAIN)
    assert result.returncode == 0, result.err
    assert "ended with code lost; starts it again" in result.out
    assert len(world.runs(0)) == 2


def test_a_try_that_does_not_get_to_start_is_a_try(world):
    world.set(ends={"all": [143, 0]}, silent_at_first=[[], [1], []])
    result = world.tpu("--retries", "2", *TRAIN)
    assert result.returncode == 0, result.err
    assert "1 of 2 hosts answered" in result.err
    assert "ended with code not started; starts it again (0 left after this)" in result.out


@pytest.mark.parametrize("node", ["PREEMPTED", "MISSING"])
def test_a_slice_that_is_taken_away_is_made_again(world, node):
    # READY when it starts; when the watch looks after workers that do not answer, it is gone
    world.set(
        node=["READY", node],
        queue=["ACTIVE", "SUSPENDED"],
        created=MADE,
        after_start="silent",
    )
    result = world.tpu("--retries", "1", "--type", "v5litepod-16", *TRAIN)
    assert result.returncode == 0, result.err
    assert "ended with code lost; starts it again" in result.out
    assert "deletes mine, which is SUSPENDED, and creates it again" in result.out
    assert world.verbs().count("queued-resources create") == 1
    assert len(world.runs(0)) == 2
