"""Words to ids and back: the tokenizer of the built-in world, and fewvid's own chat format.

`train_tokenizer` makes a tokenizer from text; `Chat` decides how a conversation is written, for
training and for inference alike, with any Hugging Face tokenizer that has a `<visual>` token.
Imported models that bring a template of their own are written by it (`data.chat_template`).
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewvid.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNK, VISUAL = SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>", "<visual>")
IMAGE, VIDEO = "<image>", "<video>"  # what imported tokenizers call a placeholder
VISUALS = (VISUAL, IMAGE)  # what can stand for whatever is shown
QUESTION = "user: {question}\nassistant:"
SYSTEM = "system: {system}\n"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}assistant: "
    "{% generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}"
    "{% else %}{{ message['role'] }}: {{ message['content'] }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 512) -> PreTrainedTokenizerFast:
    """A lower-casing word tokenizer: the most frequent words are one token each.

    Any other word is spelled letter by letter (WordPiece), so that a question in words the world
    never used still reads as something. `len(tokenizer)` may be less than `vocab_size`.
    The same texts give the same tokenizer. Raises UserError where not even the letters fit.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in [*texts, QUESTION, SYSTEM]:
        words = splitter.pre_tokenize_str(normalizer.normalize_str(text))
        counts.update(word for word, _ in words)
    letters = string.ascii_lowercase + string.digits
    base = [*SPECIALS, *letters, *string.punctuation, *(f"##{letter}" for letter in letters)]
    if vocab_size < len(base):
        raise UserError(f"vocab_size must be at least {len(base)} (the letters), got {vocab_size}")
    words = sorted(counts.keys() - set(base), key=lambda word: (-counts[word], word))
    vocab = {piece: i for i, piece in enumerate([*base, *words[: vocab_size - len(base)]])}

    backend = Tokenizer(models.WordPiece(vocab=vocab, unk_token=UNK, max_input_chars_per_word=64))
    backend.normalizer = normalizer  # pyright: ignore[reportAttributeAccessIssue]
    backend.pre_tokenizer = splitter  # pyright: ignore[reportAttributeAccessIssue]
    backend.decoder = decoders.WordPiece()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        additional_special_tokens=[VISUAL],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


class Chat:
    """How a conversation is written in ids. Ids of a text are worked out once and kept.

        <bos> <visual> ... <visual> [system: ...] user: {question} assistant: {answer} <eos> ...
        prefix_ids ------------------------------ question_ids -------------- answer_ids ---

    Special tokens written in a question are read as plain text, so that no question can ask for
    visual tokens. Safe to use from many threads.
    """

    def __init__(self, tokenizer: Any) -> None:
        """tokenizer: a transformers fast tokenizer or a `tokenizers.Tokenizer`.

        Raises UserError where it has no placeholder (`VISUALS`) or end-of-answer token.
        """
        from tokenizers import Tokenizer

        self.tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        self._encoder = Tokenizer.from_str(backend.to_str())  # a copy: its own switches
        self._encoder.encode_special_tokens = True
        self._encoder.no_truncation()
        self._encoder.no_padding()
        held = [name for name in VISUALS if self._encoder.token_to_id(name) is not None]
        self.visual = self._special(held[0] if held else VISUAL, None)
        self.picture = self.visual
        self.eos = self._special(EOS, "eos_token_id")
        self.bos = self._special(BOS, "bos_token_id", needed=False)
        pad = self._special(PAD, "pad_token_id", needed=False)
        self.pad = self.eos if pad is None else pad
        self._known: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(cls, directory: Path | str) -> Chat:
        """From a folder with `tokenizer.json`, without importing transformers (seconds)."""
        from tokenizers import Tokenizer

        file = Path(directory) / "tokenizer.json"
        if not file.is_file():
            raise UserError(f"no tokenizer.json in {directory}; is it a model directory?")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises no class of its own
            raise UserError(f"{file} is damaged ({error}); copy it again") from error
        return cls(tokenizer)

    def prefix_ids(self, n_visual: int, system: str | None = None) -> tuple[int, ...]:
        """What all questions of a row share: bos, `n_visual` placeholders, the system text."""
        bos = () if self.bos is None else (self.bos,)
        ids = bos + (self.visual,) * n_visual
        return ids if system is None else ids + self._ids(SYSTEM.format(system=system))

    def prompt_ids(
        self,
        n_visual: int,
        turns: Sequence[tuple[str, str]],
        question: str,
        *,
        picture: bool = False,
    ) -> list[int]:
        """A conversation up to the next answer: what is shown, the turns so far, the question.

        turns: (question, answer) pairs. picture: what is shown is a still one (see `visual_of`).
        """
        ids = [*self.prefix_ids(n_visual)]
        for at, (asked, answer) in enumerate(turns):
            ids += [*self.question_ids(asked, at == 0), *self.answer_ids(answer)]
        return [*ids, *self.question_ids(question, not turns)]

    def visual_of(self, picture: bool) -> int:
        """The id of the placeholders that `prompt_ids` writes."""
        return self.picture if picture else self.visual

    def question_ids(self, question: str, first: bool = True) -> tuple[int, ...]:
        """One question and the assistant's header; the answer comes next.

        first: whether no answer stands before it; a template may write it otherwise, fewvid's own
        format does not.
        """
        return self._ids(QUESTION.format(question=question))

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """The words of an answer and eos."""
        return (*self._ids(answer), self.eos)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        return self._encoder.decode([int(i) for i in ids], skip_special_tokens=True)

    def prepare(self, questions: Iterable[str], answers: Iterable[str]) -> None:
        """Encodes many texts in one go: many times faster than one by one."""
        texts = {QUESTION.format(question=question) for question in questions} | set(answers)
        new = sorted(texts - self._known.keys())
        encoded = self._encoder.encode_batch(new, add_special_tokens=False)
        self._known.update((text, tuple(e.ids)) for text, e in zip(new, encoded, strict=True))

    def _ids(self, text: str) -> tuple[int, ...]:
        ids = self._known.get(text)
        if ids is None:
            ids = tuple(self._encoder.encode(text, add_special_tokens=False).ids)
            self._known[text] = ids
        return ids

    def _special(self, token: str, attribute: str | None, *, needed: bool = True) -> Any:
        found = getattr(self.tokenizer, attribute, None) if attribute else None
        found = self._encoder.token_to_id(token) if found is None else found
        if found is None and needed:
            raise UserError(f"the tokenizer has no {token} token; add it before making a Chat")
        return found
