"""The lines that a person reads where there is no terminal."""

from fewvid.training.progress import Bar, Lines, Pace, StepReport, Timer, describe_step


def report(step, index=0):
    return StepReport("align", index, 2, step, 20, {"loss": 2.3456, "accuracy": 0.5})


def test_describe_step():
    assert describe_step(report(12), Pace(3.21, 2.5, 0.014)) == (
        "align 12/20  loss 2.346  accuracy 0.500  3.2 steps/s  waits 1% for data  2 s left"
    )


def test_the_pace_leaves_the_first_step_out(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("fewvid.training.progress.time.monotonic", lambda: now[0])
    timer = Timer()
    assert timer.read(report(1)) == Pace()  # it has compiled
    for step in (2, 3):
        now[0] += 2.0
        waited = {"data_seconds": 0.5, **report(step).metrics}
        pace = timer.read(StepReport("align", 0, 2, step, 20, waited))
    assert pace == Pace(0.5, 34.0, 0.25)
    assert timer.read(report(1, index=1)) == Pace()


def test_first_and_last_step_have_a_line(capsys):
    lines = Lines(every=1e9)
    for step in range(1, 21):
        lines.step(report(step))
    lines.count("drawing", 1, 9)
    lines.count("drawing", 9, 9)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in printed] == ["align 1/20", "align 20/20", "drawing 9/9"]


def test_bar_takes_the_same(capsys):
    bar = Bar()
    bar.say("a [plan]")
    bar.count("drawing", 1, 2)
    bar.step(report(20))
    bar.close()
    assert "a [plan]" in capsys.readouterr().out
