"""gpu_run.sh on plain hosts and as a Slurm job."""

import time

SSH = ["--hosts", "ann@node1,node2", "--poll", "0"]
SLURM = ["--slurm", "--nodes", "2", "--gpus", "1"]
TRAIN = ["--", "train", "--config", "c.py"]


def gpu(world, *words, **environment):
    return world.launch("gpu_run.sh", *words, **environment)


def job(world):
    """The folder of the Slurm run."""
    return world.local_home / "fewvid-run" / "fewvid"


def ended(world):
    """Waits for the job to be over; returns its log."""
    world.until(lambda: "RUNNING" not in (world.folder / "state.json").read_text())
    return (job(world) / "logs" / "job.log").read_text()


def test_each_host_learns_who_it_is_and_where_they_meet(world):
    assert gpu(world, *SSH, "--port", "999", *TRAIN).returncode == 0
    for index, host in enumerate(("node1", "node2")):
        (run,) = world.runs(host)
        assert run.environment == {
            "FEWVID_COORDINATOR": "node1:999",
            "FEWVID_PROCESSES": "2",
            "FEWVID_PROCESS_ID": str(index),
        }
        assert run.arguments == TRAIN[1:]
        wanted = (world.folder / "homes" / host / "installed.txt").read_text()
        assert wanted == "flax\njax[cuda13]\n"


def test_ssh_asks_nothing_and_goes_to_the_user(world):
    assert gpu(world, *SSH, *TRAIN).returncode == 0
    assert all("BatchMode=yes" in words for words in world.calls("ssh") + world.calls("scp"))
    assert {words[-2] for words in world.calls("ssh")} == {"ann@node1", "node2"}


def test_ssh_status_logs_stop_and_delete(world):
    world.set(ends={"all": ["waits"]})
    assert gpu(world, *SSH, *TRAIN).returncode == 0
    world.runs("node1"), world.runs("node2")
    assert gpu(world, "status", *SSH).out.count(" running ") == 2
    assert gpu(world, "logs", *SSH, "--worker", "1", "--lines", "1").out.endswith("step 1 of 2\n")
    assert gpu(world, "stop", *SSH).returncode == 0
    assert "t1v-w-node2 ended stopped" in gpu(world, "status", *SSH).out
    assert gpu(world, "delete", *SSH).returncode == 0
    assert not world.host("node1").exists()


def test_delete_takes_only_what_a_launcher_has_put_there(world):
    assert gpu(world, *SSH, *TRAIN).returncode == 0
    world.until(lambda: (world.host("node1") / "run.code").exists())
    (world.host("node1") / "mine.txt").write_text("keep")
    assert gpu(world, "delete", *SSH).returncode == 0
    assert [file.name for file in world.host("node1").iterdir()] == ["mine.txt"]


def test_a_host_that_does_not_answer_is_said(world):
    world.set(silent=["node2"])
    result = gpu(world, *SSH, *TRAIN)
    assert result.returncode == 1
    assert "1 of 2 hosts answered (t1v-w-node1)" in result.err


def test_retries_over_ssh(world):
    world.set(ends={"all": [143, 0]})
    result = gpu(world, *SSH, "--retries", "1", *TRAIN)
    assert result.returncode == 0, result.err
    assert len(world.runs("node1")) == len(world.runs("node2")) == 2


def test_slurm_queues_one_process_a_gpu_and_installs_once(world):
    for count in (1, 2):
        result = gpu(world, *SLURM, "--sbatch=--partition=a b", *TRAIN)
        assert "queued as job 4711" in result.out, result.err
        world.runs("0", count), world.runs("1", count)
        ended(world)
    assert len(world.calls("pip")) == 1
    words = world.calls("sbatch")[0]
    assert words[:6] == [
        "--parsable",
        "--job-name=fewvid",
        "--nodes=2",
        "--ntasks-per-node=1",
        "--gpus-per-node=1",
        "--requeue",
    ]
    assert "--partition=a b" in words
    assert (job(world) / "logs" / "process-1.log").read_text() == "step 1 of 2\n" * 2
    assert "job 4711 COMPLETED 0:0" in gpu(world, "status", *SLURM[:1]).out


def test_slurm_tries_again_as_often_as_it_may(world):
    world.set(ends={"all": [143]})
    assert gpu(world, *SLURM, "--retries", "2", *TRAIN).returncode == 0
    world.runs("0", 3)
    assert world.until(lambda: ended(world).count("ended with code 143") == 3)
    time.sleep(0.2)
    assert len(world.runs("0")) == 3
    assert len(world.calls("scontrol")) == 2


def test_slurm_does_not_try_a_mistake_again(world):
    world.set(ends={"all": [2]})
    assert gpu(world, *SLURM, "--retries", "2", *TRAIN).returncode == 0
    world.runs("0")
    assert ended(world).count("ended with code 2") == 1
    assert world.calls("scontrol") == []


def test_slurm_status_logs_stop_and_delete(world, one_line):
    world.set(ends={"all": ["waits"]})
    assert gpu(world, *SLURM, "--retries", "5", *TRAIN).returncode == 0
    world.runs("0"), world.runs("1")
    assert "this run is there already: job 4711 RUNNING" in gpu(world, *SLURM, *TRAIN).out
    assert "another run is in" in one_line(gpu(world, *SLURM, *TRAIN, "--seed=2"))
    assert "job 4711 RUNNING" in gpu(world, "status", "--slurm").out
    assert "step 1 of 2" in gpu(world, "logs", "--slurm").out
    assert "stopped job 4711" in gpu(world, "stop", "--slurm").out
    assert "ended with code 143" in ended(world)
    assert (world.calls("scancel"), world.calls("scontrol")) == ([["--signal=TERM", "4711"]], [])
    assert gpu(world, "delete", "--slurm").returncode == 0
    assert not job(world).exists()
