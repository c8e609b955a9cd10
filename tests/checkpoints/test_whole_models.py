"""LLaVA-1.5, and models of parts: in, out and in again, beside transformers' own code."""

import json

import numpy as np
import pytest

import fewvid
from fewvid.checkpoints import exporting, importing, model_directory, verify
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.errors import UserError
from tests.checkpoints.conftest import LLM, TOWER

pytestmark = pytest.mark.parity
CLOSE = 1e-4
ODD = {"image_size": 45, "patch_size": 14, "num_attention_heads": 2}
CASES = {
    "llava": ("clip_vision_model", {}, "llama", {}, {}),
    "llava-odd": (
        "clip_vision_model",
        {"image_size": 30, "patch_size": 7, "hidden_act": "gelu"},
        "mistral",
        {"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 10, "sliding_window": 9},
        {"vision_feature_layer": -3},
    ),
    "llava-siglip": (
        "siglip_vision_model",
        ODD,
        "qwen2",
        {"tie_word_embeddings": True},
        {"vision_feature_select_strategy": "full", "vision_feature_layer": -1},
    ),
}


def llava(hf, tower, tower_options, llm, llm_options, options):
    return hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(
            vision_config={"model_type": tower} | TOWER | tower_options,
            text_config={"model_type": llm} | LLM | llm_options,
            image_token_index=4,
            **options,
        )
    )


def same(a, b):
    """Whether two folders hold the same arrays, bit for bit."""
    a, b = TensorFiles(a), TensorFiles(b)
    assert a.keys() == b.keys()
    for path in a:
        x, y = (np.concatenate([*files[path].pieces()]) for files in (a, b))
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes(), path
    return True


@pytest.mark.parametrize("name", CASES)
def test_llava_in_out_and_in_again(name, hf, written, tmp_path):
    folder = written(llava(hf, *CASES[name]))
    first = importing.whole(str(folder)).save(tmp_path / "first")
    (agreement,) = verify.compare(str(first), str(folder))
    assert agreement.largest < CLOSE
    assert agreement.spread > 0.5
    assert 0 <= agreement.kl < 1e-9
    out = tmp_path / "out"
    assert exporting.export(str(first), out) == "LlavaForConditionalGeneration"
    (agreement,) = verify.compare(str(first), str(out))
    assert agreement.largest < CLOSE
    again = importing.whole(str(out)).save(tmp_path / "again")
    assert same(first, again)
    assert (first / "config.json").read_text() == (again / "config.json").read_text()
    processor = hf.AutoProcessor.from_pretrained(out)
    picture = np.zeros((64, 90, 3), np.uint8)
    placeholder = processor.tokenizer.convert_ids_to_tokens(4)
    given = processor(images=picture, text=f"{placeholder} which way", return_tensors="np")
    assert (given["input_ids"] == 4).sum() == fewvid.load(first).config.encoder.tokens
    # read by another reader than the one under test
    assert same_by_torch(hf, folder, out)


def same_by_torch(hf, a, b):
    """Whether transformers reads the same weights, but for what is left out of the second."""
    one, two = (hf.LlavaForConditionalGeneration.from_pretrained(folder) for folder in (a, b))
    kept = {k: v for k, v in two.state_dict().items() if "post_layernorm" not in k}
    assert all((one.state_dict()[name] == value).all() for name, value in kept.items())
    return True


def test_an_imported_llava_answers(hf, written, tmp_path):
    folder = written(llava(hf, *CASES["llava"]))
    model = fewvid.load(importing.whole(str(folder)).save(tmp_path / "model"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1, 32, 32, 3), np.uint8)
    tokens = np.array([[1] + [4] * 16 + [7, 8, 9]])
    assert model.forward(tokens, pixels).shape == (1, 20, 200)
    assert model.chat.visual == 4


def test_greedy_answers_about_real_clips_are_those_of_transformers(
    hf, written, shared_data, tmp_path
):
    """32 tokens about 4 frames of each of some videos, every token of a frame kept."""
    import torch

    from fewvid.data.decode import decode_video
    from fewvid.data.images import resize
    from fewvid.inference import generate, parts

    tower, _, llm, _, _ = CASES["llava"]
    theirs = llava(hf, tower, {}, llm, {"max_position_embeddings": 256}, {})
    folder = written(theirs)
    model = fewvid.load(importing.whole(str(folder)).save(tmp_path / "model"))
    processor = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    prompt = [1, *[4] * 4 * 16, 21, 22, 23, 24]
    tokens, last = np.array([prompt], np.int32), np.array([len(prompt) - 1], np.int32)
    clips = sorted((shared_data / "videos").glob("*.mp4"))[:3]
    assert clips
    for clip in clips:
        frames = decode_video(clip, 4)
        assert len(frames.frames) == 4
        pixels = resize(frames.frames, model.config.encoder.side)[None]
        with torch.no_grad():
            pictures = torch.tensor(
                processor(list(frames.frames), return_tensors="np")["pixel_values"]
            )
            said = theirs.generate(
                input_ids=torch.tensor(tokens).long(),
                pixel_values=pictures,
                do_sample=False,
                max_new_tokens=32,
                min_new_tokens=32,
                eos_token_id=199,
                pad_token_id=0,
            )[0, len(prompt) :]
        features = parts.encode(model.params, pixels, config=model.config)
        times = frames.times[None]
        visual = parts.adapt(model.params, features, times, None, config=model.config)
        logits, cache = parts.read(
            model.params, visual, tokens, last, np.int32(4), config=model.config, length=120
        )
        found = generate.generate(
            model.config,
            model.params,
            logits,
            last,
            cache,
            max_tokens=32,
            draw=generate.Draw.of(eos=-1),
        )
        assert found[0].tolist() == said.tolist(), clip.name


def test_halves_and_shards_stay_what_they_are(hf, written, tmp_path):
    import torch

    model = llava(hf, *CASES["llava"]).to(torch.bfloat16)
    folder = written(model, max_shard_size="30KB")
    first = importing.whole(str(folder)).save(tmp_path / "first")
    kinds = {path: tensor.dtype.name for path, tensor in TensorFiles(first).items()}
    assert {k for path, k in kinds.items() if path != "adapter/time/kernel"} == {"bfloat16"}
    out = tmp_path / "out"
    exporting.export(str(first), out)
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    assert same(first, importing.whole(str(out)).save(tmp_path / "again"))
    (agreement,) = verify.compare(str(first), str(folder))
    assert agreement.largest < CLOSE


@pytest.mark.parametrize(
    ("tower", "options", "llm"), [("CLIP", {}, "Qwen3"), ("Siglip", ODD, "Mistral")]
)
def test_parts_in_out_and_in_again(tower, options, llm, hf, written, tmp_path):
    config = getattr(hf, f"{tower}VisionConfig")(**(TOWER | options))
    encoder = written(getattr(hf, f"{tower}VisionModel")(config), "encoder")
    config = getattr(hf, f"{llm}Config")(**(LLM | {"head_dim": 10, "vocab_size": 150}))
    decoder = written(getattr(hf, f"{llm}ForCausalLM")(config), "llm")
    found = importing.from_parts(str(encoder), str(decoder))
    first = found.save(tmp_path / "first")
    for part in (encoder, decoder):
        (agreement,) = verify.compare(str(first), str(part))
        assert agreement.largest < CLOSE
    assert fewvid.load(first).config.adapter.queries == "tokens"
    out = tmp_path / "out"
    assert f"{llm}ForCausalLM" in exporting.export(str(first), out)
    assert all(agreement.largest < CLOSE for agreement in verify.compare(str(first), str(out)))
    assert same(first, importing.whole(str(out)).save(tmp_path / "again"))


@pytest.mark.parametrize("tied", [True, False])
def test_a_vocabulary_grows_by_a_placeholder(tied, hf, written, tmp_path):
    encoder = written(hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER)), "encoder")
    options = LLM | {"vocab_size": 9, "tie_word_embeddings": tied}
    decoder = written(hf.LlamaForCausalLM(hf.LlamaConfig(**options)), "llm")
    for file in decoder.glob("token*"):
        file.unlink()
    words_alone(hf).save_pretrained(decoder)
    first = importing.from_parts(str(encoder), str(decoder)).save(tmp_path / "first")
    model = fewvid.load(first)
    assert model.config.decoder.vocab_size == 64
    assert model.chat.visual == 9
    table = np.asarray(model.params["decoder"]["embedding"])
    np.testing.assert_allclose(table[9:], np.repeat(table[:9].mean(0)[None], 55, 0), atol=1e-6)
    (agreement,) = verify.compare(str(first), str(decoder))  # over the words that both have
    assert agreement.largest < CLOSE


def words_alone(hf):
    """A tokenizer of nine words, as a language model has one: nothing for pictures."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "<bos>", "<eos>", "<unk>", *"abcde"]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", **names)


def test_the_packaged_model_goes_out_and_comes_in_again(hf, tmp_path):
    out = tmp_path / "out"
    assert "LlamaForCausalLM" in exporting.export("shapes", out)
    (agreement,) = verify.compare("shapes", str(out))  # no class has its encoder
    assert agreement.largest < CLOSE
    again = importing.whole(str(out)).save(tmp_path / "again")
    assert same(fewvid.load("shapes").directory, again)


def test_times_that_were_trained_do_not_go_into_a_llava(hf, written, tmp_path):
    folder = written(llava(hf, *CASES["llava"]))
    first = importing.whole(str(folder)).save(tmp_path / "first")
    config, params, tokenizer = model_directory.load(first)
    params["adapter"]["time"]["kernel"] = params["adapter"]["time"]["kernel"] + 1
    model_directory.save(first, config=config, params=params, tokenizer=tokenizer, card="")
    said = exporting.export(str(first), tmp_path / "out")
    assert "no LLaVA: LLaVA has no place for adapter/time/kernel" in said


def test_another_model_is_refused(hf, written, tmp_path):
    folder = written(llava(hf, *CASES["llava"]))
    with pytest.raises(UserError, match="is a LLaVA, with a projector"):
        verify.compare("shapes", str(folder))
