"""What `chat` and `inspect` share: their flags, and the way to a clip that was looked at."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from fewvid.errors import seed_flag

if TYPE_CHECKING:
    from fewvid.inference.view import View

KEEP = "visual tokens kept of each frame; auto: more where the clip changes more"
SAMPLER = (
    "how they are chosen, e.g. attention; dpp_text chooses by the question, in a conversation by "
    "the first; inspect also takes all, to draw all side by side"
)


def keep_flag(text: str) -> int | str:
    """The argparse type of `--keep`: a number, or auto."""
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be 1 to N or 'auto', got {text!r}") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that both take."""
    parser.add_argument("model", help="'shapes', the packaged model, or a model directory")
    parser.add_argument("video", help="a video on disk, a picture or a folder of pictures")
    parser.add_argument("--keep", type=keep_flag, metavar="K", help=KEEP)
    parser.add_argument("--sampler", metavar="NAME", help=SAMPLER)
    parser.add_argument("--frames", type=int, metavar="T", help="frames to look at")
    parser.add_argument("--seed", type=seed_flag, default=0, help="for random choices (default 0)")
    parser.add_argument("--backend", default="auto", help="decoder: auto, pyav or opencv")


def look(
    args: argparse.Namespace, *, drawn: bool, ask: bool, quarter: bool = False
) -> tuple[View, dict[str, float]]:
    """Checks what the user gave, cheapest first, and has the model look at the clip.

    drawn: a picture of the frames is to be made. quarter: K is a quarter of N where
    neither --keep nor the model says it. ask: questions will be asked; the sampler may wait for
    the first where none is given.
    Also returns the milliseconds of `decode` and `load`.
    jax is imported after the video is read, so that a bad file is said at once.
    """
    from fewvid.checkpoints import model_directory
    from fewvid.data.decode import decode_video
    from fewvid.inference.checks import check_asked, check_looking, config_for
    from fewvid.inference.clock import Clock
    from fewvid.models.config import kept_tokens

    directory = model_directory.resolve(args.model)
    config = model_directory.read_config(directory)
    keep = args.keep
    quarter = quarter and keep is None and config.sampler.keep is None
    check_looking(config, args.frames, keep, args.sampler, args.seed)
    if args.sampler is not None and not ask:
        check_asked(config, 1 if quarter else keep, args.sampler, args.question)
    asked = args.frames is not None
    frames = args.frames if asked else model_directory.read_frames(directory)

    clock = Clock(("decode", "load"))
    with clock.measure("decode"):
        # the frames' own size is for the picture alone; without one, memory stays small
        size = None if drawn else config.encoder.side
        whole = bool(config.adapter.tiles)
        clip = decode_video(
            args.video, frames, size=size, backend=args.backend, asked=asked, whole=whole
        )
    if quarter:
        keep = max(1, kept_tokens(config_for(config, clip)) // 4)
    if drawn:
        from fewvid.inference.overlay import check_count

        check_count(len(clip.frames))
    if not getattr(args, "json", False):
        say(clip.notes)
    with clock.measure("load"):
        from fewvid.inference.model import load

        model = load(args.model)
    looked = {"keep": keep, "sampler": args.sampler, "seed": args.seed}
    return model.look(clip, question=args.question, to_ask=ask, **looked), clock.milliseconds


def say(notes: tuple[str, ...]) -> None:
    """Notes go to stderr, one a line, so that stdout holds the answer alone."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
