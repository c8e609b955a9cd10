"""A model as a directory: all that `fewvid.load` needs, and nothing that runs code.

config.json         the sizes (LvlmConfig)
model.safetensors   the weights, or model-00001-of-0000n.safetensors with an index
lora.safetensors    where it trained by LoRA: what is added to the weights (see `lora`)
tokenizer files     as transformers writes them, with the chat template of an imported model
preprocessor.json   image_size, mean, std, and how many frames of a video it was made for
card.md             where it comes from and how good it is, for people
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fewvid import buckets
from fewvid.checkpoints import lora, tensors, weights
from fewvid.data.chat_template import chat_for
from fewvid.data.tokenizer import CHAT_TEMPLATE, Chat
from fewvid.errors import UserError, closest
from fewvid.models import low_rank
from fewvid.models.config import LvlmConfig
from fewvid.parallel.paths import flatten, unflatten

SHARD_BYTES = 4 * 2**30
TEMPLATE = "chat_template.jinja"
OfLora = Literal["keep", "merge", "drop"]


def save(
    directory: Path | str,
    *,
    config: LvlmConfig,
    params: Mapping[str, Any],
    tokenizer: Any,
    card: str,
    frames: int = 8,
    dtype: str | None = None,
    alpha: float = 0.0,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Writes a model directory: beside its place first, then renamed, so it is never half there.

    params: nested dict of arrays (numpy or jax). A directory of the same name is replaced.
    alpha: that of LoRA, whose A and B are in `params` then and go to a file of their own.
    frames: how many frames of a video the model was trained on; the default of `chat`.
    dtype: `float16` or `bfloat16` halves the file; None stores the arrays as they are.
    """
    if dtype is not None and dtype not in weights.DTYPES:
        raise UserError(f"dtype={dtype!r} cannot be stored; use one of {sorted(weights.DTYPES)}")

    own, pairs = low_rank.apart(flatten(params))

    def write(beside: Path) -> None:
        weights.write(beside, unflatten(own), dtype=dtype, shard_bytes=shard_bytes)
        if pairs:
            lora.write(beside, pairs, alpha)

    return compose(
        directory, config=config, weights_to=write, tokenizer=tokenizer, card=card, frames=frames
    )


def compose(
    directory: Path | str,
    *,
    config: LvlmConfig,
    weights_to: Callable[[Path], None],
    tokenizer: Any,
    card: str,
    frames: int = 8,
) -> Path:
    """`save`, whose weights `weights_to` writes into the folder that it is given."""
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        _write_json(beside / "config.json", config.to_dict())
        _write_json(beside / "preprocessor.json", _preprocessor(config, frames))
        weights_to(beside)
        tokenizer.save_pretrained(str(beside))
        (beside / "card.md").write_text(card, encoding="utf-8")
        _open_to_readers(beside)
        _replace(directory, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return directory


def copy(
    model: Path | str, directory: Path | str, *, card: str, of_lora: OfLora, frames: int = 0
) -> Path:
    """A model directory like that of `model`, array by array, in the types of its files.

    of_lora: what becomes of what LoRA adds. `keep`: it stays beside the weights; `merge`: it is
    added to them for good (float32 then, where it adds); `drop`: they are what they were before.
    frames: see `save` (0: as before). Raises UserError as `load` does.
    """
    source = resolve(model)
    config = read_config(source)
    merged = lora.ModelFiles(source)
    files = merged if of_lora == "merge" else tensors.TensorFiles(source)
    check_shapes(source, config, files)

    def write(beside: Path) -> None:
        tensors.write(beside, files, shard_bytes=SHARD_BYTES)
        if of_lora == "keep" and merged.lora is not None:
            shutil.copyfile(source / lora.FILE, beside / lora.FILE)

    return compose(
        directory,
        config=config,
        weights_to=write,
        tokenizer=load_tokenizer(source),
        card=card,
        frames=frames or read_frames(source),
    )


def load(directory: Path | str) -> tuple[LvlmConfig, dict[str, Any], Any]:
    """Reads (config, params as nested dict of float32 numpy arrays, tokenizer).

    directory: a path, or the name of a model in the package.
    Raises UserError where it is not there, a file is missing, or the weights do not fit the
    config; then every path that is missing, unexpected or of another shape is named at once.
    """
    directory = resolve(directory)
    return *load_weights(directory), load_tokenizer(directory)


def load_weights(directory: Path) -> tuple[LvlmConfig, dict[str, Any]]:
    """`load` without the tokenizer, and so without importing transformers."""
    config = read_config(directory)
    flat = weights.read(directory)
    check_shapes(directory, config, flat)
    beside = lora.read(directory, {path: value.shape for path, value in flat.items()})
    for path, value in flat.items():  # one by one: two whole models need not fit
        if beside is not None:
            value = beside.added(path, value)
        if not np.issubdtype(value.dtype, np.integer):
            flat[path] = value.astype(np.float32, copy=False)
    return config, unflatten(flat)


def resolve(name: Path | str) -> Path:
    """The directory of a packaged model's name, or of a path. Raises UserError if neither is.

    Of one in a bucket (gs://...) it is a copy on this machine (see `buckets.cached`).

    A packaged name wins over a folder of that name in the current directory; write ./name there.
    """
    packaged = packaged_models()
    if str(name) in packaged:
        return packaged[str(name)]
    if buckets.is_address(name):
        read_config(buckets.at(name, "model"))  # before all of a working directory is fetched
        return buckets.cached(name, "model")
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    have = f"the package has {', '.join(sorted(packaged))}" if packaged else "the package has none"
    what = "a file, not a model directory" if path.exists() else "no model directory"
    raise UserError(
        f"{str(name)!r} is {what}; give a directory with config.json and model.safetensors, or "
        f"the name of a packaged model ({have}).{closest(str(name), packaged)}"
    )


def packaged_models() -> dict[str, Path]:
    """The models that come with the package, by name."""
    assets = Path(str(files("fewvid"))) / "assets"
    return {file.parent.name: file.parent for file in assets.glob("*/config.json")}


def short_name(directory: Path | str) -> str:
    """What to call the model of a directory: the last part of its path that says which it is.

    A run leaves its model in {workdir}/model and the demo works in {out}/run, so that these two
    names say nothing: runs/tiny/model is "tiny", runs/demo/run/model is "demo/run".
    """
    parts = Path(os.path.abspath(directory)).parts[1:]
    if len(parts) > 1 and parts[-1] == "model":
        parts = parts[:-1]
    return "/".join(parts[-2:] if parts[-1:] == ("run",) else parts[-1:])


def read_config(directory: buckets.Folder) -> LvlmConfig:
    """The sizes alone; needs neither jax nor the weights."""
    if buckets.is_address(directory):
        with buckets.refusals(directory):
            values = _read_json(directory / "config.json")
    else:
        values = _read_json(directory / "config.json")
    if "stages" in values:  # the config of a run, not of a model
        model = directory / "model"
        raise UserError(
            f"{directory} is the working directory of a training run, not a model; "
            + (f"did you mean {model}?" if model.is_dir() else "it has made no model yet")
        )
    return LvlmConfig.from_dict(values)


def read_frames(directory: Path) -> int:
    """How many frames of a video the model was made for."""
    return int(_read_json(directory / "preprocessor.json").get("frames", 8))


def check_shapes(directory: Path, config: LvlmConfig, flat: Mapping[str, Any]) -> None:
    """Raises one UserError that names every array (anything with a shape) that does not fit."""
    import jax

    from fewvid.models import lvlm

    wanted = flatten(jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0))))
    wrong = [f"missing {path} {wanted[path].shape}" for path in wanted.keys() - flat.keys()]
    wrong += [f"unexpected {path} {flat[path].shape}" for path in flat.keys() - wanted.keys()]
    wrong += [
        f"{path} is {flat[path].shape}, wanted {wanted[path].shape}"
        for path in wanted.keys() & flat.keys()
        if flat[path].shape != wanted[path].shape
    ]
    if wrong:
        raise UserError(
            f"the weights in {directory} do not fit its config.json ({len(wrong)} of "
            f"{len(wanted)} arrays): {'; '.join(sorted(wrong))}"
        )


def _preprocessor(config: LvlmConfig, frames: int) -> dict[str, Any]:
    return {
        "image_size": config.encoder.image_size,
        "mean": list(config.encoder.mean),  # of pixels in 0..1: the encoder normalises itself
        "std": list(config.encoder.std),
        "frames": frames,
    }


def load_tokenizer(directory: Path) -> Any:
    """The transformers tokenizer of a model directory; importing transformers takes a second.

    Raises UserError where it is not there or cannot be read.
    """
    # Said once on import where torch is absent, which is always, here.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers import AutoTokenizer

    file = directory / "tokenizer.json"
    if not file.is_file():
        raise UserError(f"{directory} has no tokenizer.json: it is not a whole model directory")
    try:
        return AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    except Exception as error:  # tokenizers raises no class of its own, transformers many
        raise UserError(
            f"the tokenizer of {directory} is damaged ({type(error).__name__}: {error}); "
            f"copy {file} again"
        ) from error


def load_chat(directory: Path) -> Chat:
    """How the model is talked to: in fewvid's own format, or by the template that came with it.

    Raises UserError where there is no tokenizer or it has no placeholder.
    """
    template = directory / TEMPLATE
    if not template.is_file() or template.read_text(encoding="utf-8") == CHAT_TEMPLATE:
        try:
            return Chat.load(directory)  # without transformers, which takes a second
        except UserError:  # special tokens of other names: transformers knows which they are
            return Chat(load_tokenizer(directory))
    return chat_for(load_tokenizer(directory))


def _read_json(file: buckets.Folder) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file.parent} has no {file.name}: it is not a model directory")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise UserError(f"{file} holds a {type(values).__name__}, wanted a JSON object")
    return values


def _write_json(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _open_to_readers(directory: Path) -> None:
    """mkdtemp and safetensors write for their owner alone; a model is there to be shared."""
    directory.chmod(0o755)
    for file in directory.iterdir():
        file.chmod(0o644)


def _replace(directory: Path, beside: Path) -> None:
    """Moves `beside` to `directory`; an old one steps aside first and is then deleted."""
    aside = None
    if directory.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
        directory.rename(aside / "old")
    beside.rename(directory)
    if aside:
        shutil.rmtree(aside, ignore_errors=True)
