"""From the hub comes what is needed and nothing that could run; what does not come is said."""

import shutil
from pathlib import Path

import huggingface_hub
import jax
import numpy as np
import pytest
from huggingface_hub.utils import filter_repo_objects
from safetensors.numpy import load_file, save_file

import fewvid
from fewvid.__main__ import main
from fewvid.checkpoints import exporting, importing, model_directory
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.data.tokenizer import train_tokenizer
from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, EncoderConfig, LvlmConfig, SamplerConfig

JUNK = ("pytorch_model.bin", "model.pt", "training_args.bin", "modeling_llava.py", "tf_model.h5")


@pytest.fixture
def repository(tmp_path):
    """(pool) -> the folder of a small LLaVA, or LLaVA-OneVision, with what else may lie there."""

    def make(pool):
        encoder = EncoderConfig(
            image_size=40,
            width=32,
            depth=2,
            heads=2,
            cls_token=False,
            post_norm=False,
            fit="bicubic",
        )
        tiny = LvlmConfig.tiny()
        config = LvlmConfig(
            encoder,
            SamplerConfig("maxmin", response="encoder", site="after" if pool else "before"),
            AdapterConfig(
                queries="projector",
                width=32,
                pool=pool,
                newline=pool,
                tiles=((1, 1), (2, 1)) if pool else (),
            ),
            tiny.decoder,
        )
        shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
        rng = np.random.default_rng(0)
        params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
        params["adapter"]["time"]["kernel"][:] = 0
        tokenizer = train_tokenizer(["which way"], 200)
        tokenizer.add_tokens(["<image>", "<video>"], special_tokens=True)
        here = model_directory.save(
            tmp_path / "here", config=config, params=params, tokenizer=tokenizer, card=""
        )
        folder = tmp_path / "hub"
        exporting.export(str(here), folder)
        for name in JUNK:
            (folder / name).write_bytes(b"junk")
        return here, folder

    return make


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """(folder) -> snapshot_download gives its files, those that are allowed; asked: the names."""
    asked = []

    def serve(folder):
        def snapshot_download(name, *, allow_patterns):
            asked.append(name)
            names = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
            for path in filter_repo_objects(names, allow_patterns=allow_patterns):
                (tmp_path / "cache" / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / path, tmp_path / "cache" / path)
            return str(tmp_path / "cache")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        return asked

    return serve


def same(a, b):
    a, b = TensorFiles(Path(a)), TensorFiles(Path(b))
    assert a.keys() == b.keys()
    return all(np.array_equal(a.part(name, ()), b.part(name, ())) for name in a)


@pytest.mark.parametrize("pool", [False, True])
def test_a_repository_by_its_name(pool, repository, hub, tmp_path):
    here, folder = repository(pool)
    asked = hub(folder)
    out = tmp_path / "out"
    assert main(["convert", "import", "owner/name", "--out", str(out)]) == 0
    assert asked == ["owner/name"]
    fetched = {file.name for file in (tmp_path / "cache").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert fetched.isdisjoint(JUNK)
    assert same(here, out)
    assert fewvid.load(out).config == fewvid.load(here).config


NEWER = {
    "image_newline": "model.image_newline",
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "vision_tower.vision_model.": "model.vision_tower.",
    "multi_modal_projector.": "model.multi_modal_projector.",
}


def test_names_of_another_time_are_read_too(repository, tmp_path):
    here, folder = repository(True)
    arrays = {}
    for name, array in load_file(folder / "model.safetensors").items():
        old = next(old for old in NEWER if name.startswith(old))
        arrays[NEWER[old] + name.removeprefix(old)] = array
    save_file(arrays, folder / "model.safetensors")
    out = importing.whole(str(folder)).save(tmp_path / "out")
    assert same(here, out)


def test_parts_that_were_exported_come_from_the_hub_too(hub, tmp_path):
    exporting.export("shapes", tmp_path / "hub")
    hub(tmp_path / "hub")
    assert main(["convert", "import", "owner/name", "--out", str(tmp_path / "out")]) == 0
    assert same(fewvid.load("shapes").directory, tmp_path / "out")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("cannot reach the hub\nand more"), "check the name and the network, or run `hf"),
        (None, "has no model.safetensors"),
    ],
)
def test_what_does_not_come_is_said_in_one_line(error, said, monkeypatch, tmp_path, capsys):
    def snapshot_download(name, *, allow_patterns):
        if error:
            raise error
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert main(["convert", "import", "owner/name", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "owner/name" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
