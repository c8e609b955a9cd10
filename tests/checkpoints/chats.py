"""Tiny tokenizers with the templates of the published models, in the words of this test."""

import json

TEXTS = ["USER: which way does it go ASSISTANT: left right up down", "user system assistant what"]
WORDS = 300
LLAVA = (
    "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['role'].upper() + ': ' }}{% endif %}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
ONEVISION = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ' ' }}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>' }}{% endfor %}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + part['text'] }}{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def trained(model, specials, **options):
    from tokenizers import trainers

    alphabet = options.pop("initial_alphabet", [])
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS - len(specials), initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(TEXTS, trainer)
    model.add_special_tokens(specials)
    return model


def llava_tokenizer(hf):
    """Like Llama's: a space is part of the word behind it, and a row begins with bos."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    specials = ["<unk>", "<s>", "</s>", "<image>", "<pad>"]
    raw = trained(raw, specials, initial_alphabet=[*map(chr, range(32, 127)), "▁", "\n"])
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", raw.token_to_id("<s>"))]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=raw, **names)


def onevision_tokenizer(hf):
    """Like Qwen's: bytes, no bos, and an end of every message."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    raw = trained(raw, specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=raw, **names)


def save(tokenizer, folder, template, kind):
    """Writes the tokenizer, and the template where published models of some time have it."""
    if kind == "tokenizer_config.json":
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder, save_jinja_files=False)
        return
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    if kind == "chat_template.json":
        (folder / kind).write_text(json.dumps({"chat_template": template}))
    else:
        (folder / "chat_template.jinja").write_text(template)
