"""Processes that have a bucket in common, and no folder, make what one process makes."""

import socket

import pytest

from tests.training.trainer import Trainer


@pytest.mark.timeout(400)
def test_two_processes_share_a_bucket_and_no_folder(tmp_path, cloud, bucket):
    trainer = Trainer(tmp_path, cloud)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--config.stages[0].steps=2", "--config.mesh.data=1", "--config.mesh.fsdp=2"]
    two_devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    straight = trainer.folder / "straight"
    trainer.ended(trainer.start(straight, *flags, arg="one", **two_devices), 0)

    workdir = f"gs://{bucket}/run"
    met = {"FEWVID_PROCESSES": "2", "FEWVID_COORDINATOR": f"127.0.0.1:{port}"}
    both = [
        trainer.start(workdir, *flags, arg="one", FEWVID_PROCESS_ID=str(index), **met)
        for index in (0, 1)
    ]
    for process in both:
        trainer.ended(process, 0)
    for name in ("stages/0-align", "model"):
        file = f"{name}/model.safetensors"
        assert cloud.read(bucket, f"run/{file}") == (straight / file).read_bytes(), name
    assert not list((trainer.folder / "scratch").iterdir())
