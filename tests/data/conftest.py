"""A small folder of real media and manifests, and the tokenizer of its words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewvid.data.batches import BatchShape
from fewvid.data.tokenizer import Chat, train_tokenizer

QUESTIONS = {"What colour is it?": "red", "Which way does it move?": "left", "How many?": "two"}
SHAPE = BatchShape(4, 3, 8, 2, 40, 8, questions=2)


@pytest.fixture(scope="session")
def chat() -> Chat:
    return Chat(train_tokenizer([*QUESTIONS, *QUESTIONS.values()], 256))


def record(number: int, question: str, answer: str, **extra) -> dict:
    """One LLaVA record."""
    messages = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": f"{number:03}", "conversations": messages, **extra}


def write_images(folder: Path, count: int) -> Path:
    """`count` images of one grey each (10 x number), with every question; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for i in range(count):
        name = f"{i:03}.png"
        Image.fromarray(np.full((8, 8, 3), 10 * i, np.uint8)).save(folder / name)
        records += [
            record(i, f"<image>\n{q}", a, image=name, kind="static", dimension=a)
            for q, a in QUESTIONS.items()
        ]
    (folder / "images.json").write_text(json.dumps(records))
    return folder / "images.json"


def write_video(path: Path, greys: list[int], rate: int = 4) -> None:
    """A 16x16 mp4 with one grey a frame."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for grey in greys:
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), grey, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
