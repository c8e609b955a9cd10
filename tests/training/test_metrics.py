"""metrics.jsonl never holds a step twice, whatever a kill left of its last line."""

import json

from fewvid.training.metrics import FILE, MetricsLog


def steps(folder):
    return [json.loads(line)["total_step"] for line in (folder / FILE).read_text().splitlines()]


def test_resuming_drops_the_steps_that_come_again(tmp_path):
    log = MetricsLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.write({"stage": "a", "step": step, "total_step": step, "loss": 1.0 / step})
    log.close()
    with (tmp_path / FILE).open("a") as file:
        file.write('{"stage": "a", "st')
    log = MetricsLog(tmp_path, 2)
    assert steps(tmp_path) == [1, 2]
    log.write({"stage": "a", "step": 3, "total_step": 3, "loss": 0.5})
    log.close()
    assert steps(tmp_path) == [1, 2, 3]
    assert list((tmp_path / "tensorboard").glob("events*"))
