"""A small folder of real media and manifests, and the tokenizer of its words."""

import json

import numpy as np
import pytest
from PIL import Image

from fewvid.data.batches import BatchShape
from fewvid.data.tokenizer import Chat, train_tokenizer

QUESTIONS = {"What colour is it?": "red", "Which way does it move?": "left", "How many?": "two"}


@pytest.fixture(scope="session")
def chat():
    return Chat(train_tokenizer([*QUESTIONS, *QUESTIONS.values()], 256))


@pytest.fixture
def shape():
    return BatchShape(
        batch_size=4,
        frames=3,
        image_size=8,
        visual_tokens_per_frame=2,
        length=40,
        answers=8,
        questions=2,
    )


@pytest.fixture(scope="session")
def record():
    """Makes one LLaVA record."""

    def make(number, question, answer, **extra):
        messages = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        return {"id": f"{number:03}", "conversations": messages, **extra}

    return make


@pytest.fixture(scope="session")
def write_images(record):
    """Writes `count` 8x8 images, number i of grey 10 x i, each with all questions."""

    def write(folder, count):
        folder.mkdir()
        records = []
        for i in range(count):
            name = f"{i:03}.png"
            Image.fromarray(np.full((8, 8, 3), 10 * i, np.uint8)).save(folder / name)
            records += [
                record(i, f"<image>\n{question}", answer, image=name)
                for question, answer in QUESTIONS.items()
            ]
        (folder / "images.json").write_text(json.dumps(records))
        return folder / "images.json"

    return write


@pytest.fixture(scope="session")
def write_videos(record):
    """Writes `count` 16x16 mp4 files of `length` frames at 4 a second, each with one question."""
    import av

    def write_one(path, length):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=4)
            stream.width = stream.height = 16
            stream.pix_fmt = "yuv420p"
            for i in range(length):
                pixels = np.full((16, 16, 3), 40 * i, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            container.mux(stream.encode())

    def write(folder, count, length=6):
        folder.mkdir()
        records = []
        for i in range(count):
            write_one(folder / f"{i:03}.mp4", length)
            records.append(record(i, "<video>\nHow many?", "two", video=f"{i:03}.mp4"))
        (folder / "videos.json").write_text(json.dumps(records))
        return folder / "videos.json"

    return write
