"""Cloud Storage played on localhost: what gcsfs and TensorStore ask of its JSON API, in memory.

Whole objects, generations and their preconditions, listings by prefix and delimiter, uploads in
one part, of two parts and resumable, ranges, copies. No credentials are looked at; `refuse` says
what a bucket answers where one is to be played that denies.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import sys
import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Buckets:
    """The objects of all buckets. refuse: what is answered with (status, message).

    Its keys: a bucket, for every call, or bucket:part, for objects whose names have this part.
    """

    def __init__(self, *names):
        self.objects = {name: {} for name in names}  # bucket -> name -> (bytes, generation)
        self.refuse = {}
        self.lock = threading.Lock()
        self.calls = []  # "POST /upload/..." in their order
        self.generations = itertools.count(1)
        self.uploads = {}  # resumable: id -> (bucket, name, bytearray)
        self.address = ""

    def names(self, bucket):
        with self.lock:
            return sorted(self.objects[bucket])

    def read(self, bucket, name):
        return self.objects[bucket][name][0]

    def environment(self):
        """What a process needs to take this for Cloud Storage."""
        return {
            "STORAGE_EMULATOR_HOST": self.address,  # gcsfs
            "TENSORSTORE_GCS_HTTP_URL": self.address,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # which would ask by gRPC
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",  # TensorStore; it asks no metadata server
            "NO_GCE_CHECK": "true",
        }


@contextmanager
def serving(*names):
    """Serves buckets of these names in threads of this process."""
    buckets = Buckets(*names)
    handler = type("Handler", (_Handler,), {"buckets": buckets})
    server = _Server(("127.0.0.1", 0), handler)
    buckets.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield buckets
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a client that left
            super().handle_error(request, client_address)


class _Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer waits 40 ms for its second packet
    buckets: Buckets

    def log_message(self, *_):
        pass

    def _any(self):
        length = self.headers.get("Content-Length")
        if length is not None:
            body = self.rfile.read(int(length))
        elif self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = b""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        # An encoded slash belongs to an object's name: split first.
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        parts = parts[parts.index("b") :] if "b" in parts else parts
        try:
            with self.buckets.lock:
                self.buckets.calls.append(f"{self.command} {self.path}")
                self._answer(parts, query, body)
        except _Refused as error:
            said = {"error": {"code": error.status, "message": str(error)}}
            self._send(error.status, json.dumps(said).encode())

    do_GET = do_POST = do_PUT = do_DELETE = _any

    def _chunk(self):
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _answer(self, parts, query, body):
        bucket = parts[1]
        for asked, answer in self.buckets.refuse.items():
            of, _, part = asked.partition(":")
            if of == bucket and part in "/".join(parts[3:]):
                raise _Refused(*answer)
        if bucket not in self.buckets.objects:
            raise _Refused(404, "The specified bucket does not exist.")
        there = self.buckets.objects[bucket]
        rest = parts[3:]
        if len(parts) == 2:
            self._json({"kind": "storage#bucket", "name": bucket})
        elif self.command == "GET" and not rest:
            self._list(bucket, there, query)
        elif self.command == "GET":
            self._get(bucket, there, rest[0], query)
        elif self.command == "DELETE":
            self._check(there, rest[0], query)
            if there.pop(rest[0], None) is None:
                raise _Refused(404, f"No such object: {bucket}/{rest[0]}")
            self._send(204, b"")
        elif len(rest) > 1 and rest[1] in ("rewriteTo", "copyTo", "moveTo"):
            self._copy(bucket, there, rest)
        elif "upload_id" in query:
            self._resume(query, body)
        else:
            self._upload(bucket, there, query, body)

    def _list(self, bucket, there, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        first, last = query.get("startOffset", ""), query.get("endOffset")
        items, prefixes = [], []
        for name in sorted(there):
            if not name.startswith(prefix) or name < first or (last and name >= last):
                continue
            head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut:
                prefixes.append(prefix + head + cut)
            else:
                items.append(self._about(bucket, there, name))
        self._json(
            {"kind": "storage#objects", "items": items, "prefixes": [*dict.fromkeys(prefixes)]}
        )

    def _get(self, bucket, there, name, query):
        if name not in there:
            raise _Refused(404, f"No such object: {bucket}/{name}")
        if query.get("alt") != "media":
            self._json(self._about(bucket, there, name))
            return
        data, generation = there[name]
        if query.get("ifGenerationNotMatch") == str(generation):
            self._send(304, b"")
            return
        if query.get("ifGenerationMatch", str(generation)) != str(generation):
            raise _Refused(412, "conditionNotMet")
        headers = {"x-goog-generation": generation, "ETag": generation}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            self._send(200, data, headers)
            return
        start = int(asked[1])
        stop = min(int(asked[2]) + 1, len(data)) if asked[2] else len(data)
        if start >= len(data):
            raise _Refused(416, "range not satisfiable")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self._send(206, data[start:stop], headers)

    def _copy(self, bucket, there, rest):
        if rest[0] not in there:
            raise _Refused(404, f"No such object: {bucket}/{rest[0]}")
        data = there[rest[0]][0]
        target, name = (bucket, rest[-1]) if rest[1] == "moveTo" else (rest[3], rest[-1])
        self._store(self.buckets.objects[target], name, data)
        if rest[1] == "moveTo":
            del there[rest[0]]
        about = self._about(target, self.buckets.objects[target], name)
        self._json(about if rest[1] != "rewriteTo" else {"done": True, "resource": about})

    def _upload(self, bucket, there, query, body):
        kind, name = query.get("uploadType"), query.get("name")
        if kind == "resumable":
            key = str(next(self.buckets.generations))
            self.buckets.uploads[key] = (bucket, name, bytearray())
            where = f"{self.buckets.address}/upload/storage/v1/b/{bucket}/o?upload_id={key}"
            self._send(200, b"{}", {"Location": where})
            return
        if kind == "multipart":
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])[1].encode()
            _, about, data, _ = body.split(b"--" + boundary, 3)
            name = json.loads(_after_headers(about))["name"]
            body = _after_headers(data)[:-1]
        self._check(there, name, query)
        self._store(there, name, body)
        self._json(self._about(bucket, there, name))

    def _resume(self, query, body):
        bucket, name, data = self.buckets.uploads[query["upload_id"]]
        data += body
        total = self.headers.get("Content-Range", "/*").rpartition("/")[2]
        if total == "*" or len(data) < int(total):
            self._send(308, b"", {"Range": f"bytes=0-{len(data) - 1}"} if data else {})
            return
        there = self.buckets.objects[bucket]
        self._store(there, name, bytes(data))
        self._json(self._about(bucket, there, name))

    def _check(self, there, name, query):
        wanted = query.get("ifGenerationMatch")
        have = there[name][1] if name in there else 0
        if wanted is not None and int(wanted) != have:
            raise _Refused(412, "conditionNotMet")

    def _store(self, there, name, data):
        there[name] = (bytes(data), next(self.buckets.generations))

    def _about(self, bucket, there, name):
        data, generation = there[name]
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "bucket": bucket,
            "name": name,
            "size": str(len(data)),
            "generation": str(generation),
            "metageneration": "1",
            "md5Hash": md5,
            "updated": "2026-01-01T00:00:00.000Z",
            "timeCreated": "2026-01-01T00:00:00.000Z",
        }

    def _json(self, value):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(body)


def _after_headers(part):
    return re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1]
