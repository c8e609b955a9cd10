"""Models from Hugging Face and back: `import`, `export`, `verify`; and LoRA: `merge`, `unmerge`.

  python -m fewvid convert import llava-hf/llava-1.5-7b-hf --out models/llava
  python -m fewvid convert import llava-hf/llava-onevision-qwen2-7b-ov-hf --out models/onevision
  python -m fewvid convert import --encoder google/siglip-so400m-patch14-384 \\
      --llm Qwen/Qwen2.5-0.5B-Instruct --out models/mine
  python -m fewvid convert export models/llava --out models/llava-hf
  python -m fewvid convert verify models/llava --against models/llava-hf
  python -m fewvid convert merge runs/lora/model --out models/merged

A source is a folder or the name of a repository, of which configs, tokenizer and safetensors are
downloaded. Weights are read piece by piece; no code of a repository is run. A LLaVA-OneVision reads
videos as in transformers, and pictures in one view, without tiles. Only `verify` needs torch.
A model that trained by LoRA holds its weights as they were and what LoRA adds to them, and answers
with both: `merge` writes a model whose weights are the sum, `unmerge` one of the weights alone, as
they were bit for bit.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fewvid.commands import places
from fewvid.errors import UserError, seed_flag

if TYPE_CHECKING:
    from fewvid.checkpoints.importing import Imported

MODEL = "a model directory, or the name of a packaged model"
LORA = {
    "merge": "a model whose weights are those of another with what LoRA adds to them",
    "unmerge": "a model whose weights are those of another before LoRA",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `convert` and their flags."""
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY")
    new = ways.add_parser("import", help="a model of Hugging Face, or two parts, as a model here")
    new.add_argument(
        "source", nargs="?", metavar="FROM", help="a whole model: folder or OWNER/NAME"
    )
    new.add_argument("--encoder", metavar="A", help="or a CLIP or SigLIP encoder ...")
    new.add_argument("--llm", metavar="B", help="... and a language model, joined by a new adapter")
    new.add_argument("--seed", type=seed_flag, default=0, help="of a new adapter (default 0)")
    new.add_argument("--out", type=places.path, required=True, help="the model directory to write")
    out = ways.add_parser("export", help="a model as a folder that transformers loads")
    out.add_argument("model", help=MODEL)
    out.add_argument(
        "--out", type=places.path, required=True, help="a folder that is not there yet"
    )
    for name, what in LORA.items():
        way = ways.add_parser(name, help=what)
        way.add_argument("model", help="a model directory with lora.safetensors")
        way.add_argument("--out", type=places.path, required=True, help="the directory to write")
    same = ways.add_parser(
        "verify", help="how far a model is from one of transformers (needs torch)"
    )
    same.add_argument("model", help=MODEL)
    same.add_argument("--against", required=True, metavar="FROM", help="folder or OWNER/NAME")
    same.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="float32 (default), on the CPU, or bfloat16, on a GPU where there is one",
    )
    same.add_argument("--seed", type=seed_flag, default=0, help="of pictures and ids (default 0)")


def run(args: argparse.Namespace) -> int:
    """Does one of them and says what came of it."""
    if args.way == "verify":
        from fewvid.checkpoints import verify

        for agreement in verify.compare(args.model, args.against, seed=args.seed, dtype=args.dtype):
            print(agreement)
        return 0
    if args.out.exists():
        raise UserError(f"--out: {args.out} is there already; remove it or choose another")
    places.check_folder(args.out, "--out")
    if args.way == "export":
        from fewvid.checkpoints import exporting

        print(f"wrote {args.out}: {exporting.export(args.model, args.out)}")
        return 0
    if args.way in LORA:
        print(f"wrote {args.out}: {_of_lora(args.way, args.model, args.out)}")
        return 0
    found = read(args)
    found.save(args.out)
    size = sum(tensor.nbytes for tensor in found.tensors.values()) / 2**20
    print(f"wrote {args.out}: {len(found.tensors)} arrays, {size:.1f} MiB")
    for note in found.notes:
        print(f"note: {note}")
    return 0


def _of_lora(way: str, model: str, out: Path) -> str:
    """Merges or unmerges. Raises UserError for a model without LoRA."""
    from fewvid.checkpoints import lora, model_directory

    source = model_directory.resolve(model)
    found = lora.ModelFiles(source).lora
    if found is None:
        raise UserError(f"{source} has no {lora.FILE}: there is nothing to {way}")
    merges = way == "merge"
    said = f"{len(found.pairs)} matrices {'with' if merges else 'without'} LoRA of rank "
    said += f"{found.rank}, alpha {found.alpha:g}"
    card = f"# {out.name}\n\nThe model {source}, {said}.\n"
    model_directory.copy(source, out, card=card, of_lora="merge" if merges else "drop")
    return said


def read(args: argparse.Namespace) -> Imported:
    """What `import` is to write. Raises UserError for anything but a whole model or two parts."""
    parts = (args.encoder, args.llm)
    if (args.source is None) == (None in parts) or (args.source and any(parts)):
        raise UserError(
            "convert import takes a whole model (convert import FROM --out D) or two parts "
            "(convert import --encoder A --llm B --out D)"
        )
    from fewvid.checkpoints import importing

    if args.source:
        return importing.whole(args.source)
    return importing.from_parts(args.encoder, args.llm, seed=args.seed)
