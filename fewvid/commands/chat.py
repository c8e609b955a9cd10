"""Ask a model about a video: one question, or a conversation where no question is given."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewvid.commands import look, places

if TYPE_CHECKING:
    from fewvid.inference.conversation import Answer, Conversation
    from fewvid.inference.view import View


OVERLAY = "draw the kept tokens there; in a conversation a picture an answer: a.png, a-2.png, ..."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `chat`."""
    look.add_arguments(parser)
    parser.add_argument("question", nargs="?", help="left out: a conversation, until 'exit'")
    parser.add_argument("--overlay", type=places.path, metavar="PNG", help=OVERLAY)
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--temperature", type=float, default=0.0, help="0, the default: no chance")
    parser.add_argument("--max-tokens", type=int, default=32, help="longest answer (default 32)")
    # argparse before Python 3.12.8 takes a question that follows a flag for one too many
    setattr(parser, "parse_args", parser.parse_intermixed_args)  # noqa: B010


def run(args: argparse.Namespace) -> int:
    """The answer goes to stdout, notes to stderr."""
    from fewvid.errors import UserError
    from fewvid.inference import checks

    if args.json and args.question is None:
        raise UserError('--json prints one answer: give a question, as in chat MODEL VIDEO "..."')
    if args.question is not None:
        checks.check_question(args.question)
    checks.check_answering(args.temperature, args.max_tokens)
    if args.overlay:
        places.check_picture(args.overlay, "--overlay")
    view, before = look.look(args, drawn=bool(args.overlay), ask=True)
    from fewvid.inference.conversation import Conversation

    conversation = Conversation(view)
    if view.change is not None and not args.json:
        print(f"{looked(view, args.video)}.", file=sys.stderr)
    if args.question is None:
        return converse(conversation, args)
    answer = ask(conversation, args.question, args, args.overlay)
    if args.json:
        print(json.dumps(as_json(answer, view.model.name, args.video, before), ensure_ascii=False))
    return 0


def converse(conversation: Conversation, args: argparse.Namespace) -> int:
    """Reads questions until 'exit' or the end of the input; each answer knows those before it.

    A question that cannot be answered, such as one too long, is said and may be asked in other
    words: what was said before it stays.
    """
    from fewvid.errors import UserError, one_line

    if shown := sys.stdin.isatty():
        if conversation.view.change is None:  # else it is said already
            print(f"{looked(conversation.view, args.video)}.", file=sys.stderr)
        print("Ask; 'exit' ends.", file=sys.stderr)
    while True:
        if shown:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        question = line.strip()
        if not line or question.lower() == "exit":
            return 0
        if not question:
            continue
        try:
            ask(conversation, question, args, numbered(args.overlay, len(conversation.turns) + 1))
        except UserError as error:
            print(one_line(error), file=sys.stderr)


def looked(view: View, video: str) -> str:
    """What was looked at: "8 frames of a.mp4, 4 tokens kept of each (auto: change 0.031)"."""
    count, kept = len(view.seen), view.kept
    what = "view" if view.tiling else "frame"
    text = f"{count} {what}{'s' * (count != 1)} of {video}, {kept} token{'s' * (kept != 1)} kept"
    text += " of each" * (count != 1)
    return text if view.change is None else f"{text} (auto: change {view.change:.3f})"


def numbered(file: Path | None, turn: int) -> Path | None:
    """The picture of a conversation's turn: a.png of the first, a-2.png of the second, ..."""
    if file is None or turn == 1:
        return file
    return file.with_stem(f"{file.stem}-{turn}")


def ask(
    conversation: Conversation, question: str, args: argparse.Namespace, picture: Path | None
) -> Answer:
    """One question: prints the answer as it comes, unless JSON is wanted, and draws the picture."""
    pieces = conversation.stream(
        question, temperature=args.temperature, max_tokens=args.max_tokens, seed=args.seed
    )
    while True:
        try:
            piece = next(pieces)
        except StopIteration as stop:
            answer: Answer = stop.value
            break
        if not args.json:
            print(piece, end="", flush=True)
    if not args.json:
        print()
        look.say(answer.notes[len(conversation.view.clip.notes) :])
    if picture:
        from fewvid.inference.overlay import draw

        draw(conversation.view.selection(), question, answer.text).save(picture)
        if not args.json:
            print(f"wrote {picture}", file=sys.stderr)
    return answer


def as_json(answer: Answer, model: str, video: str, before: dict[str, float]) -> dict[str, Any]:
    """The one object that `--json` prints; `before` is the time spent before the model looked."""
    return {
        "answer": answer.text,
        "question": answer.question,
        "model": model,
        "video": video,
        "frames": answer.frames_used,
        "views": answer.views,
        "tokens_per_frame": answer.tokens_per_frame,
        "kept_per_frame": answer.kept,
        "change": answer.change,
        "read_per_frame": answer.read_per_frame,
        "sampler": answer.sampler,
        "milliseconds": answer.milliseconds | before,
        "notes": list(answer.notes),
    }
