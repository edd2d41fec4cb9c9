"""A name that is not a folder is looked up on the hub: once, and briefly."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from pricetag.recipes import parse_recipe
from tests.support.training import job, recipe
from workers.job import hub
from workers.job.request import JobError
from workers.job.sources import resolve_model


class Hub(BaseHTTPRequestHandler):
    """Has ``lab/model``; ``lab/gated`` is not for everybody; ``lab/slow`` never answers."""

    asked: list[str] = []  # noqa: RUF012 - emptied by the fixture
    over = threading.Event()

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/models/").partition("?")[0]
        if name != self.path:  # the client asks for other things too, once
            self.asked.append(name)
        if name == "lab/slow":
            self.over.wait()
        status = {"lab/model": 200, "lab/gated": 403}.get(name, 404)
        self.send_response(status)
        if status != 200:
            code = "GatedRepo" if status == 403 else "RepoNotFound"
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(json.dumps({"id": name}).encode() if status == 200 else b"{}")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    point_at(f"http://127.0.0.1:{server.server_port}", monkeypatch, tmp_path)
    Hub.asked.clear()
    Hub.over.clear()
    yield Hub.asked
    Hub.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "cache"))


def refusal(root: Path, model: str, *, allow_hub: bool = True) -> JobError:
    described = recipe(model=model)
    with pytest.raises(JobError) as caught:
        resolve_model(replace(job(root, described), allow_hub=allow_hub), parse_recipe(described))
    assert (caught.value.code, caught.value.field) == ("missing-model", "recipe.model")
    assert f"'{model}' is not under the data roots ({root})" in caught.value.message
    return caught.value


def test_a_model_on_the_hub_is_accepted(reachable: list[str], tmp_path: Path) -> None:
    described = recipe(model="lab/model")
    hub_job = replace(job(tmp_path, described), allow_hub=True)
    resolved_model = resolve_model(hub_job, parse_recipe(described))
    assert resolved_model is not None
    assert resolved_model.hub == "lab/model"
    assert reachable == ["lab/model"]


def test_a_mistyped_folder_is_reported_with_both_places(
    reachable: list[str], tmp_path: Path
) -> None:
    assert "the hub has no model of that name" in refusal(tmp_path, "models/minilmm").message
    assert reachable == ["models/minilmm"]
    assert "must grant it" in refusal(tmp_path, "lab/gated").message


def test_a_disabled_hub_is_not_queried(reachable: list[str], tmp_path: Path) -> None:
    error = refusal(tmp_path, "models/minilmm", allow_hub=False)
    assert "this worker does not use the hub" in error.message
    assert reachable == []


def test_a_path_is_not_a_hub_name(reachable: list[str], tmp_path: Path) -> None:
    assert "it is not a valid hub name" in refusal(tmp_path, "models/text/minilm").message
    assert reachable == []


@pytest.mark.usefixtures("reachable")
def test_a_hub_that_is_slow_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PATIENCE_S", 0.2)
    assert "did not respond" in refusal(tmp_path, "lab/slow").message


def test_an_unreachable_hub_is_queried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: it refuses connections
        point_at(f"http://127.0.0.1:{closed.getsockname()[1]}", monkeypatch, tmp_path)
        assert "did not respond" in refusal(tmp_path, "models/minilmm").message
    assert pauses == []  # nobody waits to try again


def test_cached_models_are_not_looked_up(reachable: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "models--lab--kept"
    (kept / "snapshots" / "abc").mkdir(parents=True)
    (kept / "snapshots" / "abc" / "config.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc")
    assert hub.why_absent("lab/kept") is None
    assert reachable == []
