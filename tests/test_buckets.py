"""What is in a bucket is whole or not there, is fetched once; refusals are one line of words."""

import importlib.util
import logging
import re

import pytest

from fewvid import buckets
from fewvid.commands import places
from fewvid.errors import UserError

SECRET = "upload_id=ADPycdsSECRET"


@pytest.mark.parametrize(
    "wrong",
    ["gs://bucket", "gs://B/run", "gs://bucket/run?X-Goog-Signature=ab", "gs://bucket/a*", "gs://"],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(wrong):
    with pytest.raises(UserError, match=r"^--workdir: wanted gs://BUCKET/FOLDER") as refused:
        buckets.at(wrong, "--workdir")
    assert "ab" not in str(refused.value).partition("without")[2]


def test_without_gcsfs_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"gs:// needs gcsfs; run pip install 'gcsfs>="):
        buckets.at("gs://bucket/run", "--workdir")


def test_only_a_working_directory_may_be_an_address():
    assert places.workdir("gs://bucket/run") == "gs://bucket/run"
    with pytest.raises(Exception, match="only `train --workdir` writes"):
        places.path("gs://bucket/run")


class Refusing(Exception):
    code = ""


Refusing.__module__ = "gcsfs.retry"


def refusing(code, said):
    error = Refusing(said)
    error.code = code
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refusing(401, f"Anonymous {SECRET}"), UserError, "gcloud auth application-default login"),
        (
            OSError(f"Forbidden: https://s/storage/v1/o?{SECRET}"),
            UserError,
            "storage.objectAdmin on",
        ),
        (ValueError(f"PERMISSION_DENIED: gs://b-1 {SECRET}"), UserError, "on the bucket b-1"),
        (ValueError(f"UNAUTHENTICATED: gs://b-1 {SECRET}"), UserError, "takes no credentials"),
        (ValueError(f"UNAVAILABLE: gs://b-1 {SECRET}"), buckets.Unreachable, "ValueError"),
        (FileNotFoundError(f"https://s/storage/v1/b?{SECRET}"), UserError, "is no bucket b-1"),
        (refusing(503, f"try {SECRET}"), buckets.Unreachable, r"failed \(Refusing 503\)"),
    ],
)
def test_a_refusal_is_one_line_that_helps_and_has_no_secret(error, kind, words):
    with pytest.raises(kind, match=words) as refused, buckets.refusals("gs://b-1/run", "--workdir"):
        raise error
    said = str(refused.value)
    assert said.startswith("--workdir gs://b-1/run: ")
    assert SECRET not in said
    assert "\n" not in said
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        FileNotFoundError("/tmp/x"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes"),
        ValueError("DATA_LOSS: Error reading gs://b-1/run/d: checksum mismatch"),
    ],
)
def test_other_errors_are_left_as_they_are(error):
    with pytest.raises(type(error)), buckets.refusals("gs://b-1/run"):
        raise error


def model(folder, text="{}"):
    folder.mkdir()
    (folder / "config.json").write_text(text)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 1000)
    (folder / "tokenizer.json").write_text("t")
    return folder


def test_a_folder_is_sent_with_the_file_that_makes_it_whole_last(cloud, bucket, tmp_path):
    to = buckets.at(f"gs://{bucket}/run/model/", "--workdir")
    (to / "model-00009-of-00009.safetensors").write_text("half-sent by an earlier try")
    before = len(cloud.calls)
    buckets.send(model(tmp_path / "model"), to)
    sent = [call for call in cloud.calls[before:] if call.startswith("POST /upload")]
    assert len(sent) == 3
    assert cloud.names(bucket) == [
        f"run/model/{n}" for n in sorted(p.name for p in (tmp_path / "model").iterdir())
    ]
    newest = max(cloud.objects[bucket].items(), key=lambda item: item[1][1])
    assert newest[0] == "run/model/config.json"
    fetched = buckets.fetch(to, tmp_path / "again")
    for file in (tmp_path / "model").iterdir():
        assert (fetched / file.name).read_bytes() == file.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "model"]  # nothing beside them


def test_an_object_may_not_leave_the_folder_that_it_is_fetched_to(cloud, bucket, tmp_path):
    cloud.objects[bucket]["m/config.json"] = (b"{}", 1)
    cloud.objects[bucket]["m/../../evil"] = (b"x", 2)
    with pytest.raises(UserError, match=r"an object '../../evil', which is no name of a file"):
        buckets.fetch(buckets.at(f"gs://{bucket}/m", "model"), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_is_fetched_again_only_when_it_has_changed(cloud, bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = f"gs://{bucket}/m"
    with pytest.raises(UserError, match=rf"model {name}: no model directory there"):
        buckets.cached(name, "model")
    buckets.send(model(tmp_path / "one"), buckets.at(name, "model"))
    first = buckets.cached(name, "model")
    assert (first / "config.json").read_text() == "{}"
    before = len(cloud.calls)
    assert buckets.cached(name, "model") == first
    assert not [call for call in cloud.calls[before:] if "alt=media" in call]
    buckets.send(model(tmp_path / "two", '{"a": 1}'), buckets.at(name, "model"))
    second = buckets.cached(name, "model")
    assert (second / "config.json").read_text() == '{"a": 1}'
    assert not first.exists()  # one copy of each address


def test_what_a_bucket_refuses_is_said_in_one_line(cloud, bucket, caplog):
    place = buckets.at(f"gs://{bucket}/run", "--workdir")
    cloud.refuse[bucket] = (403, "ann@x.y does not have storage.objects.create access")
    with (
        caplog.at_level(logging.DEBUG, logger="fewvid"),
        pytest.raises(UserError, match=f"roles/storage.objectAdmin on the bucket {bucket}"),
        buckets.refusals(place, "--workdir"),
    ):
        buckets.write_whole(place / "x", "text")
    assert not [r for r in caplog.records if re.search("upload|Forbidden", r.getMessage())]
