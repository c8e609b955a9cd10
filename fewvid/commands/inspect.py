"""Draw the tokens that a model keeps over the frames of a video, and print a line a frame.

With `--sampler all` the picture shows all samplers side by side, and a line a sampler is printed.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from fewvid.commands import look, places

if TYPE_CHECKING:
    from PIL import Image

    from fewvid.inference.view import View

ALL = "all"
QUESTION = "ask it, and write question and answer above; --sampler dpp_text needs it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `inspect`."""
    look.add_arguments(parser)
    parser.add_argument("--out", type=places.path, required=True, metavar="PNG", help="the picture")
    parser.add_argument("--question", metavar="TEXT", help=QUESTION)


def run(args: argparse.Namespace) -> int:
    """K is a quarter of N where neither --keep nor the model says it."""
    if args.question is not None:
        from fewvid.inference.checks import check_question

        check_question(args.question)
    places.check_picture(args.out, "--out")
    everyone = args.sampler == ALL
    if everyone:
        args.sampler = None  # the model's own looks first, and says what K is
    view, _ = look.look(args, drawn=True, ask=bool(args.question), quarter=True)
    picture = side_by_side(view, args) if everyone else one(view, args)
    picture.save(args.out)
    print(f"wrote {args.out} ({picture.width} x {picture.height} pixels)")
    return 0


def one(view: View, args: argparse.Namespace) -> Image.Image:
    """The picture of one sampler's choice."""
    from fewvid.inference import overlay
    from fewvid.inference.conversation import Conversation

    selection = view.selection()
    look.say(selection.notes[len(view.clip.notes) :])
    answer = ""
    if args.question:
        answer = Conversation(view).ask(args.question, seed=args.seed).text
        print(f"{args.question} {answer}")
    print("frame      time   kept   their share of the response")
    for i, time in enumerate(selection.times):
        share = selection.scores[i, selection.indices[i]].sum() / selection.scores[i].sum()
        print(f"{i + 1:5d}  {time:6.2f} s  {selection.counts[i]:5d}   {share:.0%}")
    print(overlay.caption(selection))
    return overlay.draw(selection, args.question or "", answer)


def side_by_side(view: View, args: argparse.Namespace) -> Image.Image:
    """The picture of all samplers' choices."""
    from fewvid.inference import comparison

    selection = view.selection()
    look.say(selection.notes[len(view.clip.notes) :])
    choices, left_out = comparison.compare(view, args.seed, args.question or "")
    if left_out:
        why = "; ".join(f"{name}: {said}" for name, said in left_out.items())
        print(f"left out {why}", file=sys.stderr)
    wide = max(len(choice.sampler) for choice in choices)
    print(f"{'sampler':{wide}}   its share of the response")
    for choice in choices:
        print(f"{choice.sampler:{wide}}   {choice.share:4.0%}   {choice.answer}".rstrip())
    return comparison.draw(selection, choices, args.question or "")
