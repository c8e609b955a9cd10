"""Where an import comes from: a folder, or a repository of the Hugging Face hub by its name."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from fewvid import buckets
from fewvid.errors import UserError, closest

# What is downloaded: no code, and no format that can hold code. FOLDERS: of `convert export`.
FOLDERS = ("encoder", "llm", "adapter")
WEIGHTS = ["model*.safetensors", *(f"{folder}/model*.safetensors" for folder in FOLDERS)]
WANTED = ["*.json", *WEIGHTS, "*.jinja", "*.txt", "tokenizer.model"]
REPOSITORY = r"[\w.-]+/[\w.-]+"


def folder_of(name: str) -> Path:
    """The folder of that name, or where the hub's repository of that name was downloaded to.

    Raises UserError where there is neither.
    """
    if buckets.is_address(name):
        return buckets.cached(name, "FROM")
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{name} is a file; give the folder that holds config.json and the weights")
    if not re.fullmatch(REPOSITORY, name):
        raise UserError(
            f"there is no folder {name}; give one, or a repository of the Hugging Face hub as "
            "OWNER/NAME"
        )
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED))
    except Exception as error:  # no network, no such repository, no access: it has many classes
        first = str(error).strip().splitlines()
        raise UserError(
            f"there is no folder {name}, and the Hugging Face hub gave none "
            f"({type(error).__name__}: {first[0] if first else ''}); check the name and the "
            f"network, or run `hf download {name}` where there is one and give the folder it names"
        ) from error
    if not any(file for pattern in WEIGHTS for file in folder.glob(pattern)):
        raise UserError(
            f"the repository {name} has no model.safetensors; where torch is, "
            "AutoModel.from_pretrained(NAME) of transformers and .save_pretrained(FOLDER) of what "
            "that gives write one: then give FOLDER"
        )
    return folder


def model_type(folder: Path, known: tuple[str, ...]) -> str:
    """What config.json says that the folder holds. Raises UserError where it is none of `known`."""
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(f"{folder} has no config.json: it is no model of transformers")
    try:
        found = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} is not a JSON object ({error})") from error
    if found not in known:
        raise UserError(
            f"{file}: model_type is {found!r}, and fewvid imports {', '.join(known)}."
            f"{closest(str(found), known)}"
        )
    return found


def read_config(folder: Path) -> Any:
    """The config as transformers reads it, which fills in what the file leaves to defaults."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # each config class checks itself in its own way
        raise UserError(f"{folder / 'config.json'} cannot be read: {error}") from error


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer as transformers reads it, with the template that the folder's processor has.

    Raises UserError where there is none.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # see read_config
        first = str(error).strip().splitlines()
        raise UserError(
            f"{folder} has no tokenizer that can be read ({first[0] if first else error}); copy "
            "the model's tokenizer.json and tokenizer_config.json there"
        ) from error
    tokenizer.chat_template = _template(folder, tokenizer.chat_template)
    return tokenizer


def _template(folder: Path, of_tokenizer: Any) -> str | None:
    """The one that transformers' processor would take; it has been kept in several files."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json"):
        file = folder / name
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if found.get("chat_template"):
            return found["chat_template"]
    if isinstance(of_tokenizer, dict):  # several, by name
        return of_tokenizer.get("default")
    return of_tokenizer
