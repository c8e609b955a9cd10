"""A run in a bucket: one holder, models whole, a scratch folder that begins and ends empty."""

import json

import pytest

from fewvid import buckets
from fewvid.errors import UserError
from fewvid.training.metrics import FILE, MetricsLog
from fewvid.training.place import HOLDER, Place
from fewvid.training.workdir import sweep


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return tmp_path


def written(place, name, text="{}"):
    (place.here / name).mkdir(parents=True)
    (place.here / name / "config.json").write_text(text)
    (place.here / name / "model.safetensors").write_bytes(b"weights")


def test_a_folder_is_its_own_place(tmp_path):
    place = Place.of(tmp_path / "run")
    assert place.root == place.here == tmp_path / "run"
    with place.held(leads=True):
        place.take()
        written(place, "start")
        place.keep("start")
        place.forget("start")
    assert place.has("start")
    assert place.bring("start") == tmp_path / "run" / "start"
    assert {p.name for p in (tmp_path / "run").iterdir()} == {".lock", "start"}


def test_models_go_to_the_bucket_and_come_back(cloud, bucket, scratch):
    place = Place.of(f"gs://{bucket}/runs/one")
    assert place.here.parent == scratch
    with place.held(leads=True):
        place.take()
        assert not place.has("stages/0-align")
        written(place, "stages/0-align")
        place.keep("stages/0-align")
        assert place.has("stages/0-align")
        place.forget("stages/0-align")
        assert not (place.here / "stages/0-align").exists()
        again = place.bring("stages/0-align")
        assert (again / "model.safetensors").read_bytes() == b"weights"
    assert not place.here.exists()
    del cloud.objects[bucket]["runs/one/stages/0-align/config.json"]  # as a kill may leave it
    assert not place.has("stages/0-align")


def test_what_a_killed_process_left_in_the_scratch_folder_is_not_gone_on_from(
    cloud, bucket, scratch
):
    place = Place.of(f"gs://{bucket}/run")
    written(place, "start", "stale")
    other = Place.of(f"gs://{bucket}/run", process=1)
    assert other.here != place.here
    with place.held(leads=True):
        assert [p.name for p in place.here.iterdir()] == [".lock"]
        with pytest.raises(UserError, match="another process is running in"), place.held(True):
            pass


def test_the_newest_start_takes_the_run_and_the_one_before_it_keeps_nothing(cloud, bucket, scratch):
    first, second = (Place.of(f"gs://{bucket}/run") for _ in range(2))
    first.take()
    first.check_taken()
    second.take()
    second.check_taken()
    written(first, "model")
    for what in (first.check_taken, lambda: first.keep("model"), lambda: first.keep_files(FILE)):
        with pytest.raises(UserError, match=r"process \d+ on \S+ has taken this run over"):
            what()
    assert cloud.names(bucket) == [f"run/{HOLDER}"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "takes no credentials"), (403, "may not read and write"), (404, "there is no bucket")],
)
def test_a_bucket_that_refuses_is_said_before_any_work(cloud, bucket, scratch, status, words):
    cloud.refuse[bucket] = (status, "no")
    with pytest.raises(UserError, match=rf"^--workdir gs://{bucket}/run: .*{words}"):
        Place.of(f"gs://{bucket}/run").take()


def test_numbers_are_sent_whole_and_come_back(cloud, bucket, scratch):
    place = Place.of(f"gs://{bucket}/run")
    row = {"stage": "a", "loss": 0.5}
    with place.held(leads=True):
        place.take()
        log = MetricsLog(place.here, 0, lambda: place.keep_files(FILE, "tensorboard/*"))
        for step in (1, 2):
            log.write(row | {"step": step, "total_step": step})
        log.send()
        assert len(cloud.read(bucket, f"run/{FILE}").splitlines()) == 2
        log.write(row | {"step": 3, "total_step": 3})
        log.close()
        assert len(cloud.read(bucket, f"run/{FILE}").splitlines()) == 3
    with place.held(leads=True):
        place.bring_file(FILE)
        log = MetricsLog(place.here, 1, lambda: place.keep_files(FILE, "tensorboard/*"))
        log.write(row | {"step": 2, "total_step": 2})
        log.send()
        log.close()
    lines = cloud.read(bucket, f"run/{FILE}").splitlines()
    assert [json.loads(line)["total_step"] for line in lines] == [1, 2]
    assert any(name.startswith("run/tensorboard/events") for name in cloud.names(bucket))


def test_what_was_not_sent_is_sent_at_the_next_time(tmp_path):
    tries = []

    def send():
        tries.append(1)
        if len(tries) == 1:
            raise buckets.Unreachable("503")

    log = MetricsLog(tmp_path, 0, send)
    log._send_soon()  # in the background, where it fails
    log.send()
    assert len(tries) == 2
    log.close()


def test_half_written_checkpoints_of_a_bucket_are_removed_and_named(cloud, bucket, scratch):
    place = Place.of(f"gs://{bucket}/run")
    whole, half, aside = "0-align/100", "0-align/200", "0-align/50.damaged"
    for name in (f"{whole}/commit_success.txt", f"{whole}/d", f"{half}/d", f"{aside}/d"):
        (place.root / "checkpoints" / name).write_text("x")
    assert sweep(place.root) == [half]
    left = [
        f"run/checkpoints/{n}" for n in (f"{whole}/commit_success.txt", f"{whole}/d", f"{aside}/d")
    ]
    assert cloud.names(bucket) == sorted(left)
