"""`bench`: JSON with the promised keys, what a mistake is told, and what is left out in time."""

import json

import pytest

from fewvid.__main__ import main
from fewvid.bench import run as running

TOP = {"command", "fewvid", "date", "size", "sizes", "load", "ours", "peer", "ceilings", "rows"}
ROW = {"work", "name", "unit", "amount", "flops", "bytes", "ours", "peer", "ratio", "tflops"}
TIMES = {
    "seconds",
    "q1",
    "q3",
    "runs",
    "cpu_seconds",
    "compile_seconds",
    "value",
    "value_q1",
    "value_q3",
}


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda name: None)


def test_json_page_and_lines(tmp_path, capsys, no_torch):
    json_file, page = tmp_path / "speed.json", tmp_path / "speed.md"
    arguments = ["--json", str(json_file), "--page", str(page), "--runs", "2"]
    assert main(["bench", "prefill", "--size", "tiny", *arguments]) == 0
    found = json.loads(json_file.read_text())
    assert set(found) >= TOP
    assert found["command"] == "python -m fewvid bench prefill --size tiny --runs 2"
    assert found["ours"]["platform"] == "cpu"
    assert found["ceilings"]["tflops"] > 0
    assert [row["name"] for row in found["rows"]] == [
        "4 x 8 + 32 = 64 tokens",
        "4 x 64 + 32 = 288 tokens",
    ]
    for row in found["rows"]:
        assert set(row) >= ROW
        assert set(row["ours"]) >= TIMES
        assert row["ours"]["runs"] == 2
        assert row["ours"]["seconds"] > row["floor_seconds"] * 0.2
    assert (found["peer"], found["left_out"]) == (None, [])
    assert "torch is not installed" in found["no_peer"]
    printed = capsys.readouterr().out
    assert "prefill  4 x 8 + 32 = 64 tokens:  " in printed
    assert page.read_text().count("| prefill |") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speed.json", "speed.md"]


def test_when_time_is_over_what_is_there_is_kept_and_the_rest_named(monkeypatch):
    def ask(which, work, size, cases, **_):
        yield {"about": {"platform": "cpu", "device": "d", "versions": {}}}
        for case in cases[: 1 if work == "prefill" else None]:
            times = {"seconds": 1.0, "q1": 1.0, "q3": 1.0, "runs": 1, "compile_seconds": 0.0}
            yield {"case": case.name, **times}
        if work == "prefill":
            yield {"error": running.side.LATE}

    monkeypatch.setattr(running.side, "ask", ask)
    bench = running.Run(_tiny(), peer="off")
    bench.run(["prefill", "encode"])
    found = bench.finish()
    assert [row["work"] for row in found["rows"]] == ["prefill", "encode"]
    assert found["left_out"] == [f"prefill, 4 x 64 + 32 = 288 tokens: {running.side.LATE}"]


def test_a_peer_on_another_device_is_left_out(monkeypatch):
    said = []

    def ask(which, work, size, cases, **_):
        platform = "gpu" if which == "ours" else "cpu"
        yield {"about": {"platform": platform, "device": "d", "versions": {}}}
        for case in cases:
            times = {"seconds": 1.0, "q1": 1.0, "q3": 1.0, "runs": 1, "compile_seconds": 0.0}
            yield {"case": case.name, **times}

    monkeypatch.setattr(running.side, "ask", ask)
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda name: object())
    bench = running.Run(_tiny(), say=said.append)
    bench.run(["encode"])
    assert said == ["no peer: it runs on cpu, fewvid on gpu"]
    assert bench.table["rows"][0]["ratio"] is None


def test_nothing_is_timed_after_the_deadline():
    assert list(running.side.ask("ours", "encode", _tiny(), [], deadline=0.0)) == [
        {"error": running.side.LATE}
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["decod"], "Did you mean 'decode'?"),
        (["decode", "--size", "cpux"], "Did you mean 'cpu'?"),
        (["decode", "--peer", "on"], "pip install -r requirements-parity.txt"),
        (["decode", "--runs", "0"], "--runs must be 1 or more"),
        (["decode", "--minutes", "0"], "a number of minutes above 0"),
        (["decode", "--json", "nowhere/at/all.json"], "there is no folder"),
        (["decode", "--model", "shapez"], "shapes"),
        (["decode", "--size", "tiny", "--model", "shapes"], "not allowed with"),
    ],
)
def test_a_mistake_is_one_line(flags, words, capsys, no_torch):
    assert main(["bench", *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def _tiny():
    from fewvid.bench.sizes import SIZES

    return SIZES["tiny"]
