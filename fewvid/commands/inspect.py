"""Draw the tokens that a model keeps over the frames of a video, and print a line a frame."""

from __future__ import annotations

import argparse

from fewvid.commands import look, places

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
    view, _ = look.look(args, drawn=True, ask=bool(args.question), quarter=True)
    from fewvid.inference import overlay
    from fewvid.inference.conversation import Conversation

    selection = view.selection()
    look.say(selection.notes[len(view.clip.notes) :])
    answer = ""
    if args.question:
        answer = Conversation(view).ask(args.question, seed=args.seed).text
        print(f"{args.question} {answer}")
    picture = overlay.draw(selection, args.question or "", answer)
    picture.save(args.out)

    print("frame      time   kept   their share of the response")
    for i, time in enumerate(selection.times):
        share = selection.scores[i, selection.indices[i]].sum() / selection.scores[i].sum()
        print(f"{i + 1:5d}  {time:6.2f} s  {selection.counts[i]:5d}   {share:.0%}")
    print(overlay.caption(selection))
    print(f"wrote {args.out} ({picture.width} x {picture.height} pixels)")
    return 0
