"""Extends the shipped image model to video with few clips, and shows what that changed.

  python -m fewvid demo --out runs/demo

Draws clips of the miniature world, measures the image model on clips that nobody trains on, trains
it further by S3-IV (images and clips together), measures again, answers a question about a clip
and draws which tokens were kept. About five minutes on two cores; needs no network.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewvid.commands import places

if TYPE_CHECKING:
    from fewvid.evaluation.exam import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `demo`."""
    parser.add_argument(
        "--out",
        type=places.path,
        help="where all goes (default runs/demo, with --budget tiny runs/demo-tiny)",
    )
    parser.add_argument(
        "--budget",
        choices=("full", "tiny"),
        default="full",
        help="tiny: a minute, to see that it runs; its accuracies mean nothing",
    )
    parser.add_argument("--json", type=places.path, metavar="F", help="write the numbers there")


def run(args: argparse.Namespace) -> int:
    """Prints what is happening, then the table, the answer and the picture's path."""
    started = time.monotonic()
    _ready(args)
    from fewvid.data.shapes import write_world
    from fewvid.evaluation.exam import Exam
    from fewvid.inference.model import load
    from fewvid.training import recipes
    from fewvid.training.progress import display
    from fewvid.training.run import run as train

    config = recipes.demo(args.budget)
    world = args.out / "data"
    config.world.path = str(world)
    shown = display()
    try:
        shown.say(
            f"1. Drawing {config.world.clips} clips and {config.world.images} pictures of a "
            "miniature world: shapes that move, blink and change."
        )
        write_world(
            world,
            **{key: config.world[key] for key in ("clips", "images", "seed", "things")},
            progress=lambda done, total: shown.count("drawing", done, total),
        )
        shown.say("2. Asking the image model `shapes`, which has never seen anything move.")
        image_model = load("shapes")
        exam = Exam(
            image_model,
            world / "test",
            recipes.EXAM_CLIPS[args.budget],
            progress=lambda done, total: shown.count("looking at clips", done, total),
        )
        before = exam.of(image_model, lambda done, total: shown.count("asking", done, total))
        shown.say(
            "3. Extending it by S3-IV: images and clips together; the encoder stays as it is, the "
            "adapter and the decoder learn."
        )
        trained_before = (args.out / "run" / "model").exists()
        directory = train(config, args.out / "run", shown=shown)
        shown.say("4. Asking again, about the same clips, which were not trained on.")
        model = load(str(directory))
        after = exam.of(model, lambda done, total: shown.count("asking again", done, total))
    finally:
        shown.close()
    sample, answer = _answer(model, exam, args.out / "overlay.png")
    seconds = time.monotonic() - started
    _show(before, after)
    took = f"All of this took {seconds:.0f} s"
    print(f"{took}, without the training, which was done before." if trained_before else f"{took}.")
    asked = sample.turns[0]
    print(f"\n{sample.media}\n  {asked.question}")
    print(f"  It says: {answer}. The true answer: {asked.answer}.")
    print(f"the frames and the tokens kept of each: {args.out / 'overlay.png'}")
    if args.json:
        numbers = {"before": before.shares(), "after": after.shares(), "seconds": seconds}
        numbers["trained_before"] = trained_before
        numbers |= {"chance": after.chance(), "questions": after.counts(), **_about(config)}
        args.json.write_text(json.dumps(numbers, indent=1) + "\n")
    return 0


def _ready(args: argparse.Namespace) -> None:
    """Says what stands in the way before the work is done, and keeps libraries quiet."""
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it misses torch, which is not used
    if args.out is None:
        args.out = Path("runs/demo-tiny" if args.budget == "tiny" else "runs/demo")
    places.check_folder(args.out, "--out")
    args.out.mkdir(parents=True, exist_ok=True)  # before --json, which may lie in it
    if args.json:
        places.check_file(args.json, "--json")
    from fewvid.commands.train import keep_compiled

    keep_compiled(args.out)


def _answer(model: Any, exam: Any, picture: Path) -> tuple[Any, str]:
    """Asks the first question about a direction of the test clips and draws what was kept."""
    from fewvid.inference import overlay

    sample = exam.first("direction")
    answer = model.answer(sample.media, sample.turns[0].question)
    selection = model.select(sample.media)
    overlay.draw(selection, sample.turns[0].question, answer.text).save(picture)
    return sample, answer.text


def _show(before: Report, after: Report) -> None:
    from rich.console import Console

    from fewvid.evaluation.table import table

    print()
    Console(width=88).print(table("The same model before and after", after.lines(before)))
    print("Accuracy among the valid answers; ± is half of the 95 % interval.")
    gap = round(100 * (after.temporal - after.temporal_one_frame))
    print(
        "With its middle frame repeated instead of the clip, it answers "
        f"{abs(gap)} points {'fewer' if gap >= 0 else 'more'} of the temporal questions."
    )


def _about(config: Any) -> dict[str, Any]:
    import jax

    world, stage = config.world, config.stages[0]
    return {
        "clips": world.clips,
        "images": world.images,
        "steps": stage.steps,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
