"""What is saved comes back; what is missing or does not fit is said at once."""

import json

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fewvid.checkpoints import model_directory, weights
from fewvid.data.tokenizer import Chat, train_tokenizer
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig

CONFIG = LvlmConfig.tiny()


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["which way"], 200)


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(lambda: lvlm.init(CONFIG, jax.random.key(0)))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.fixture
def save(tmp_path, params, tokenizer):
    def write(**options):
        given = {"config": CONFIG, "params": params, "tokenizer": tokenizer, "card": "# é"}
        return model_directory.save(tmp_path / "model", **(given | options))

    return write


def equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b))


def test_round_trip(save, params):
    directory = save(frames=6)
    config, loaded, tokenizer = model_directory.load(directory)
    assert config == CONFIG
    assert equal(loaded, params)
    assert tokenizer.eos_token == "<eos>"
    assert model_directory.read_frames(directory) == 6
    assert json.loads((directory / "preprocessor.json").read_text())["image_size"] == 32
    assert (directory / "card.md").read_text(encoding="utf-8") == "# é"


def test_shards_with_an_index(save, params):
    directory = save(shard_bytes=40_000)
    files = sorted(file.name for file in directory.glob("*.safetensors"))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((directory / weights.INDEX).read_text())
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in jax.tree.leaves(params))
    assert equal(model_directory.load_weights(directory)[1], params)
    (directory / files[2]).unlink()
    with pytest.raises(UserError, match=files[2]):
        model_directory.load_weights(directory)


@pytest.mark.parametrize(("name", "dtype"), list(weights.DTYPES.items())[1:])
def test_half_precision_in_the_file_is_float32_in_memory(save, params, name, dtype):
    directory = save(dtype=name)
    stored = load_file(directory / weights.FILE)
    assert {array.dtype for array in stored.values()} == {np.dtype(dtype)}
    expected = jax.tree.map(lambda leaf: leaf.astype(dtype).astype(np.float32), params)
    assert equal(model_directory.load_weights(directory)[1], expected)
    assert weights.DTYPES["bfloat16"] is ml_dtypes.bfloat16


def test_saving_again_replaces_and_leaves_nothing_beside(save, params, tmp_path):
    save(card="old")
    (tmp_path / "model" / "stray").write_text("")
    save(card="new", params=jax.tree.map(np.zeros_like, params))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (tmp_path / "model" / "stray").exists()
    assert not np.any(model_directory.load_weights(tmp_path / "model")[1]["decoder"]["embedding"])


def test_a_save_that_fails_leaves_the_old_one(save, params, tmp_path):
    save(card="old")
    with pytest.raises(AttributeError):
        save(card="new", tokenizer=None)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "card.md").read_text() == "old"


def test_every_array_that_does_not_fit_is_named_at_once(save):
    file = save() / weights.FILE
    arrays = load_file(file)
    wrong = {**arrays, "decoder/extra": np.zeros(2, np.float32)}
    del wrong["decoder/norm/scale"]
    wrong["decoder/embedding"] = wrong["decoder/embedding"][:-1]
    save_file(wrong, file)
    with pytest.raises(UserError) as error:
        model_directory.load(file.parent)
    message = str(error.value)
    assert "missing decoder/norm/scale (32,)" in message
    assert "unexpected decoder/extra (2,)" in message
    assert "decoder/embedding is (255, 32), wanted (256, 32)" in message


@pytest.mark.parametrize("content", ["{}", "[]", "not JSON", '{"model": {"type": "none"}}'])
def test_a_damaged_tokenizer_is_named(save, content):
    directory = save()
    (directory / "tokenizer.json").write_text(content)
    for read in (Chat.load, model_directory.load_tokenizer):
        with pytest.raises(UserError, match=r"damaged \(.*; copy .*again"):
            read(directory)


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("runs/tiny/model", "tiny"),
        ("runs/demo/run/model", "demo/run"),
        ("runs/demo/run/model/", "demo/run"),
        ("runs/demo/run/stages/0-align", "0-align"),
        ("/models/mine", "mine"),
        ("/models/model/../model", "models"),
        ("/model", "model"),
        ("/run", "run"),
        ("..", "here"),
    ],
)
def test_a_model_is_called_by_what_tells_it_from_others(directory, name, tmp_path, monkeypatch):
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    assert model_directory.short_name(directory) == name


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor.json"]
)
def test_a_missing_file_is_named(save, name):
    directory = save()
    (directory / name).unlink()
    read = model_directory.read_frames if name == "preprocessor.json" else model_directory.load
    with pytest.raises(UserError, match=name):
        read(directory)


def test_damaged_files_are_named(save):
    directory = save()
    (directory / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        model_directory.load(directory)
    (directory / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        model_directory.load(directory)


def test_a_working_directory_is_told_from_a_model(tmp_path):
    (tmp_path / "config.json").write_text('{"stages": [], "model": {}}')
    with pytest.raises(UserError, match="it has made no model yet"):
        model_directory.read_config(tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match=f"did you mean {tmp_path / 'model'}"):
        model_directory.load(tmp_path)


def test_names(tmp_path, monkeypatch):
    monkeypatch.setattr(model_directory, "packaged_models", lambda: {"shapes": tmp_path})
    assert model_directory.resolve("shapes") == tmp_path
    assert model_directory.resolve(tmp_path) == tmp_path
    with pytest.raises(UserError, match="Did you mean 'shapes'"):
        model_directory.resolve("shape")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        model_directory.resolve(tmp_path / "file")
