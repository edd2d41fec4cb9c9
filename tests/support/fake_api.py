"""A small HTTP server that answers as the REST API does, for tests of its clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

RUN_ID = "6f0c0d0e-0000-4000-8000-000000000001"


@dataclass
class Answer:
    """What to send back."""

    body: Any
    status: int = 200
    kind: str = "application/json"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str


@dataclass
class FakeApi:
    """Answers by ``METHOD /path``; what is not listed is a 404 in the API's own form."""

    url: str = ""
    answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, request: Asked) -> Answer:
        """Remembers the request and finds the answer."""
        self.asked.append(request)
        prepared = self.answers.get(f"{request.method} {request.path}")
        if prepared is None:
            return problem(404, "not-found", f"There is no {request.path}.")
        return prepared(request) if callable(prepared) else prepared


def problem(status: int, code: str, detail: str, *errors: dict[str, Any]) -> Answer:
    """An error as the API describes it."""
    return Answer({"code": code, "detail": detail, "errors": list(errors)}, status)


def run(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """A run as ``GET /v1/runs/{id}`` shows it."""
    return {
        "id": RUN_ID,
        "project": "text",
        "experiment": "sst2",
        "name": "MiniLM [int8]",
        "tags": ["sst2"],
        "kind": "train+quantize",
        "resources": {"gpus": 0, "pool": "default"},
        "priority": 0,
        "not_before": None,
        "status": status,
        "status_reason": None,
        "progress": None,
        "cancel_requested_at": None,
        "created_at": "2026-03-01T12:00:00Z",
        "started_at": None,
        "finished_at": None,
        "price_tag": {"version": 1, "it_energy_kwh": 0.0144, "co2e_kg": 0.00658},
        "recipe": {"stages": [{"kind": "train"}, {"kind": "quantize"}]},
    } | more


def events(*parts: tuple[str, dict[str, Any]]) -> Answer:
    """A whole event stream, ids from 1."""
    lines = []
    for number, (kind, payload) in enumerate(parts, 1):
        data = {"id": number, "run_id": RUN_ID, "at": "2026-03-01T12:00:00Z"}
        text = json.dumps({**data, "kind": kind, "payload": payload})
        lines.append(f"id: {number}\nevent: {kind}\ndata: {text}\n\n")
    return Answer("".join(lines), kind="text/event-stream")


@contextmanager
def serving() -> Iterator[FakeApi]:
    """The server on a free port of the loopback, until the block ends."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm: ClassVar[bool] = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size).decode("utf-8", "surrogateescape")  # may be compressed
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, parts.query, headers, body)
            response = api.answer(asked)
            content = (
                response.body
                if isinstance(response.body, str | bytes)
                else json.dumps(response.body)
            )
            raw = content.encode() if isinstance(content, str) else content
            self.send_response(response.status)
            self.send_header("Content-Type", response.kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
