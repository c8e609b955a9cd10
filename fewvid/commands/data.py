"""Makes data: `data shapes` writes the built-in miniature world.

  python -m fewvid data shapes --out runs/world --clips 2000 --images 5000 --seed 0

Clips are mp4, pictures png, questions LLaVA JSON with the `kind` and `dimension` of each. The same
numbers give the same bytes; train, validation and test share no scene. --look, --frames, --motion,
--clutter and --scale make another world from the same seeds:

  python -m fewvid data shapes --out runs/alt --look alt --frames 16 --motion fast
"""

from __future__ import annotations

import argparse

from fewvid.commands import places
from fewvid.errors import seed_flag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `data` and their flags."""
    made = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    shapes = made.add_parser("shapes", help="the built-in world of small videos and pictures")
    shapes.add_argument(
        "--out", type=places.path, required=True, help="a folder that is not there yet"
    )
    shapes.add_argument("--clips", type=int, default=2000, help="training clips (default 2000)")
    shapes.add_argument("--images", type=int, default=5000, help="training images (default 5000)")
    shapes.add_argument(
        "--seed",
        type=seed_flag,
        default=0,
        help="which world: the same seed gives the same files (default 0)",
    )
    shapes.add_argument(
        "--things", type=int, default=2, help="shapes in a scene at most, 1 to 3 (default 2)"
    )
    shapes.add_argument(
        "--look", default="shapes", help="how it is drawn: shapes, or alt (default shapes)"
    )
    shapes.add_argument("--frames", type=int, default=8, help="frames of a clip (default 8)")
    shapes.add_argument(
        "--motion", default="any", help="still, slow or fast: all things are (default any)"
    )
    shapes.add_argument(
        "--clutter", type=int, default=3, help="specks and bars nobody asks about (default 3)"
    )
    shapes.add_argument(
        "--scale", default="any", help="small or large: all things are (default any)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the world and says what is in it."""
    import json

    # the world is made beside its place, which therefore needs a name
    out = args.out if args.out.name else args.out.absolute()
    places.check_folder(out, "--out")
    from fewvid.data.shapes import Variant, write_world
    from fewvid.training.progress import display

    shown = display()
    try:
        write_world(
            out,
            clips=args.clips,
            images=args.images,
            seed=args.seed,
            things=args.things,
            variant=Variant(
                look=args.look,
                frames=args.frames,
                motion=args.motion,
                clutter=args.clutter,
                scale=args.scale,
            ),
            progress=lambda done, total: shown.count("drawing the world", done, total),
        )
    finally:
        shown.close()
    about = json.loads((out / "world.json").read_text())
    for split, counts in about["samples"].items():
        shown.say(f"{out / split}: {counts['video']} clips, {counts['image']} images")
    dimensions = ", ".join(f"{d} {about['chance'][d]:.2f}" for d in about["temporal"])
    shown.say(f"temporal dimensions and their chance levels: {dimensions}")
    return 0
