"""Google Cloud Storage by gs://bucket/folder: what a run and a model directory need of it.

Small objects go through etils.epath, as Orbax's do. Folders of weights go through gcsfs, on which
epath stands: it moves whole files, several at once, where epath copies one in pieces of a MiB.

A bucket has objects, not folders: nothing is renamed and nothing is appended to. Objects are
written whole, and a folder is there once the one of its files that readers look for first
(config.json of a model directory) is there, which is therefore sent last.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from etils import epath

from fewvid.errors import UserError

WHOLE = "config.json"  # the file that makes a model directory one
ADDRESS = re.compile(r"gs:/+([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])/+([^?#*\[\]]*[^?#*\[\]/])/*")
LOGIN = (
    "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the "
    "file of a service account; a Cloud TPU needs the scope cloud-platform"
)
# How TensorStore begins what it says of a request, rather than of what it has read.
STATUS = re.compile(
    "(PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED): .*gs://"
)
Folder = Path | epath.Path


class Unreachable(Exception):
    """Cloud Storage did not do what it may do at another try."""


def is_address(name: object) -> bool:
    """Whether it names a place in Cloud Storage (pathlib makes gs:/b of gs://b)."""
    return str(name).startswith("gs:/")


def at(name: object, flag: str) -> epath.Path:
    """The place of an address. flag: what the user is to change, such as `--workdir`.

    Raises UserError for one that is none, and where gcsfs is not installed.
    """
    match = ADDRESS.fullmatch(str(name))
    if not match:  # not repeated: a signed address has its signature behind a question mark
        raise UserError(f"{flag}: wanted gs://BUCKET/FOLDER, without *, ?, # and brackets")
    if importlib.util.find_spec("gcsfs") is None:
        raise UserError(
            f"{flag} gs://{match[1]}/...: gs:// needs gcsfs; run pip install 'gcsfs>=2026.10'"
        )
    from fsspec import config

    # Listings are asked for anew: other hosts, and TensorStore, write there as well.
    config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL + 1)  # it logs addresses of uploads
    logging.getLogger("google.auth").setLevel(logging.ERROR)  # what it finds nothing at, one by one
    return epath.Path(f"gs://{match[1]}/{match[2]}")


def write_whole(file: Folder, text: str) -> None:
    """Writes a file so that a reader finds all of it or what was there before."""
    if is_address(file):
        file.write_text(text, encoding="utf-8")
        return
    beside = Path(file).with_name(f".{file.name}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, file)


def remove(place: Folder) -> None:
    """Removes a file or a folder, if it is there."""
    if is_address(place):
        with suppress(FileNotFoundError):
            epath.Path(place).rmtree()
    elif Path(place).is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        Path(place).unlink(missing_ok=True)


def copy(folder: epath.Path, to: Folder) -> None:
    """Copies a folder of a bucket within it; the bytes do not come here."""
    _files().copy(f"{folder}/", f"{to}/", recursive=True)


def send(folder: Path, to: Folder, *, last: str = WHOLE) -> None:
    """Sends a folder; `last` of its files comes last, so that what has it is whole.

    What an earlier try may have left there is removed first. Raises UserError where it fails.
    """
    names = sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())
    names.remove(last)
    with refusals(to):
        remove(to)
        for part in (names, [last]):
            _files().put([str(folder / name) for name in part], [f"{to}/{name}" for name in part])


def send_files(files: list[Path], folder: Path, to: Folder) -> None:
    """Sends files of a folder to the same places under `to`. Raises UserError where it fails."""
    with refusals(to):
        names = [str(file.relative_to(folder)) for file in files]
        _files().put([str(file) for file in files], [f"{to}/{name}" for name in names])


def fetch(source: Folder, folder: Path) -> Path:
    """Fetches a folder; `folder` is there when all of it is. Raises UserError where it fails."""
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with refusals(source):
            found = _objects(source)
            targets = [beside / name for name in found]
            for target in targets:
                target.parent.mkdir(parents=True, exist_ok=True)
            _files().get([f"{source}/{name}" for name in found], [str(t) for t in targets])
        for (name, about), target in zip(found.items(), targets, strict=True):
            if target.stat().st_size != int(about["size"]):
                raise UserError(f"{source}/{name} changed while it was fetched; try again")
        try:
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was not faster
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def cached(name: object, flag: str) -> Path:
    """A copy on this machine of a model directory in a bucket; fetched when it is not, or changed.

    Readers of safetensors and of tokenizers map files into memory: they need files. Copies are in
    $XDG_CACHE_HOME/fewvid (~/.cache/fewvid), one of each address.
    Raises UserError where there is no model directory.
    """
    source = at(name, flag)
    try:
        return _cached(source, flag)
    except Unreachable as error:
        raise UserError(str(error)) from None


def _cached(source: Folder, flag: str) -> Path:
    with refusals(source, flag):
        found = _objects(source)
    if not any(each.rpartition("/")[2] == WHOLE for each in found):
        raise UserError(f"{flag} {source}: no model directory there (no {WHOLE})")
    versions = sorted((each, str(about.get("generation"))) for each, about in found.items())
    place = _cache() / _digest(str(source))
    folder = place / _digest(repr(versions)) / source.name
    if folder.exists():
        return folder
    shutil.rmtree(place, ignore_errors=True)
    folder.parent.mkdir(parents=True)
    return fetch(source, folder)


def check_readable_by_tensorstore(file: Folder) -> None:
    """Reads an object as checkpoints are read: TensorStore finds its credentials by itself."""
    import tensorstore

    bucket, _, path = str(file.parent).removeprefix("gs://").partition("/")
    spec = {"driver": "gcs", "bucket": bucket, "path": f"{path}/"}
    tensorstore.KvStore.open(spec).result().read(file.name).result()


@contextmanager
def refusals(place: object, flag: str = "") -> Iterator[None]:
    """Makes one line of what Cloud Storage refused of `place`: a UserError, or `Unreachable`."""
    try:
        yield
    except Exception as error:
        if (refused := refusal(error, place, flag)) is None:
            raise
        raise refused from None


def refusal(
    error: BaseException | None, place: object, flag: str = ""
) -> UserError | Unreachable | None:
    """What Cloud Storage refused and what helps; None for an error that did not come of it.

    The error's own words are left out: an address of an upload in them opens it to anyone.
    """
    where = f"{flag} {place}".lstrip()
    while error is not None:
        said, code = str(error), str(getattr(error, "code", ""))
        if "gcsfs" in _raised_in(error) or "/storage/v1/" in said or STATUS.match(said):
            bucket = str(place).removeprefix("gs://").partition("/")[0]
            if (
                code == "401"
                or "auth" in type(error).__module__
                or said.startswith("UNAUTHENTICATED")
            ):
                return UserError(
                    f"{where}: Cloud Storage takes no credentials of this machine; {LOGIN}"
                )
            if said.startswith("Forbidden") or code == "403" or "PERMISSION_DENIED" in said:
                return UserError(
                    f"{where}: the credentials of this machine may not read and write there; give "
                    f"them roles/storage.objectAdmin on the bucket {bucket}"
                )
            if isinstance(error, FileNotFoundError):
                return UserError(
                    f"{where}: there is no bucket {bucket}, or what was read is gone; a bucket is "
                    f"made by `gcloud storage buckets create gs://{bucket}`"
                )
            code = f" {code}" if code else ""
            return Unreachable(
                f"{where}: Cloud Storage failed ({type(error).__name__}{code}); the same command "
                "tries again"
            )
        error = error.__cause__ or error.__context__
    return None


def _raised_in(error: BaseException) -> set[str]:
    """The packages that an error is of, or came through."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    modules = [type(error).__module__, *(str(f.f_globals.get("__name__")) for f in frames)]
    return {module.partition(".")[0] for module in modules}


def _objects(source: Folder) -> dict[str, dict[str, Any]]:
    """The objects of a folder: name below it -> what Cloud Storage says of it."""
    prefix = str(source).removeprefix("gs://") + "/"
    found = _files().find(str(source), detail=True)
    objects = {k.removeprefix(prefix): v for k, v in found.items() if v["type"] == "file"}
    objects.pop(prefix, None)  # what some tools write for a folder
    for name in objects:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise UserError(f"{source} has an object {name!r}, which is no name of a file")
    return objects


def _files() -> Any:
    """The file system that epath has too."""
    import fsspec

    return fsspec.filesystem("gcs", finalize_on_close=True)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewvid"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
