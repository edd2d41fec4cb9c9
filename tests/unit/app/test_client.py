from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pricetag.accounting.quantity.record import InvalidDocument
from pricetag.client import ApiError, Client, ClientError, InvalidConnection, ServerUnreachable
from pricetag.client.connection import ATTEMPTS
from tests.support.golden import content

Answer = httpx.Response | Exception


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


def speaking(*answers: Answer, seen: list[httpx.Request] | None = None) -> Client:
    """A client whose server gives these answers, one after another."""
    left: Iterator[Answer] = iter(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        response = next(left)
        if isinstance(response, Exception):
            raise response
        return response

    return Client("http://server", "pt_x", transport=httpx.MockTransport(handle))


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "why", **more})


def ok(**data: Any) -> httpx.Response:
    return httpx.Response(200, json=data)


def test_the_token_goes_with_every_request() -> None:
    seen: list[httpx.Request] = []
    with speaking(ok(id="r"), seen=seen) as client:
        assert client.get_run("r")["id"] == "r"
    assert seen[0].headers["authorization"] == "Bearer pt_x"


def test_a_rejection_is_raised_with_its_fields() -> None:
    errors = [{"field": "name", "message": "is missing", "hint": None}]
    refusing = speaking(problem(422, "invalid-recipe", errors=errors))
    with refusing as client, pytest.raises(ApiError) as caught:
        client.create_run({})
    assert (caught.value.status, caught.value.code) == (422, "invalid-recipe")
    assert (caught.value.message, caught.value.errors) == ("why", errors)


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'"x"', b"{}", b""])
def test_a_response_of_another_program_is_an_error_too(content: bytes) -> None:
    other = speaking(httpx.Response(404, content=content))
    with other as client, pytest.raises(ApiError, match="404 Not Found"):
        client.get_run("r")


def test_a_posted_run_keeps_its_key_when_it_is_sent_again(slept: list[float]) -> None:
    seen: list[httpx.Request] = []
    away = httpx.Response(503, headers={"Retry-After": "3"}, json={"code": "x", "detail": "y"})
    answers = (httpx.ConnectError("refused"), away, httpx.Response(202, json={"id": "r"}))
    with speaking(*answers, seen=seen) as client:
        assert client.create_run({"name": "x"})["id"] == "r"
    keys = {request.headers["idempotency-key"] for request in seen}
    assert len(seen) == 3
    assert len(keys) == 1
    assert 3.0 in slept


def test_yaml_is_sent_as_it_is() -> None:
    seen: list[httpx.Request] = []
    with speaking(httpx.Response(202, json={}), seen=seen) as client:
        client.create_run("name: ä\n", idempotency_key="mine")
    assert seen[0].headers["content-type"] == "application/yaml"
    assert seen[0].headers["idempotency-key"] == "mine"
    assert seen[0].content.decode() == "name: ä\n"


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.create_report("x", runs=["r"]),
        lambda c: c.create_token("x", "viewer"),
        lambda c: c.cancel_run("r"),
        lambda c: c.resume_run("r"),
    ],
)
def test_requests_that_must_not_be_repeated_are_sent_once(call: Callable[[Client], Any]) -> None:
    seen: list[httpx.Request] = []
    breaking = speaking(httpx.ReadError("broke"), seen=seen)
    with breaking as client, pytest.raises(ServerUnreachable, match="from http://server: broke"):
        call(client)
    assert len(seen) == 1


def test_retries_end_after_a_number_of_attempts() -> None:
    seen: list[httpx.Request] = []
    refusals = [httpx.ConnectError("refused")] * ATTEMPTS
    with speaking(*refusals, seen=seen) as client, pytest.raises(ServerUnreachable):
        client.get_run("r")
    assert len(seen) == ATTEMPTS


def test_pages_are_followed() -> None:
    seen: list[httpx.Request] = []
    answers = (ok(items=[{"id": 1}], next_cursor="c"), ok(items=[{"id": 2}], next_cursor=None))
    with speaking(*answers, seen=seen) as client:
        run_ids = [
            str(run["id"]) for run in client.iter_runs(project="p", tag=["x", "y"], kind=None)
        ]
    assert run_ids == ["1", "2"]
    assert seen[1].url.params["cursor"] == "c"
    assert seen[1].url.params.get_list("tag") == ["x", "y"]
    assert "kind" not in seen[0].url.params


def events(*ids: int, kind: str = "progress") -> httpx.Response:
    text = "".join(
        f"id: {n}\nevent: {kind}\ndata: {json.dumps({'id': n, 'kind': kind})}\n\n" for n in ids
    )
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_an_event_stream_continues_after_interruptions(slept: list[float]) -> None:
    seen: list[httpx.Request] = []
    answers: tuple[Answer, ...] = (
        events(1, 2),
        ok(status="running"),
        httpx.ConnectError("restarting"),
        problem(503, "database-away"),
        events(3),
        ok(status="succeeded"),
    )
    with speaking(*answers, seen=seen) as client:
        assert [event["id"] for event in client.events("r")] == [1, 2, 3]
    streams = [request for request in seen if request.url.path.endswith("/events")]
    resumed = [request.headers.get("last-event-id") for request in streams]
    assert resumed == [None, "2", "2", "2"]
    assert len(slept) == 3


def test_events_of_an_unknown_run_are_rejected() -> None:
    with speaking(problem(404, "run-not-found")) as client, pytest.raises(ApiError):
        next(client.events("r"))


def test_waiting_reports_events_and_returns_the_run() -> None:
    event_ids: list[int] = []
    answers = (events(1, 2), ok(status="failed"), ok(status="failed", id="r"))
    with speaking(*answers) as client:
        assert client.wait("r", lambda event: event_ids.append(event["id"]))["status"] == "failed"
    assert event_ids == [1, 2]


def test_logs_are_followed_to_the_end() -> None:
    answers = (
        ok(status="running"),
        ok(items=[{"text": "a"}], next_after="1"),
        ok(status="running"),
        ok(items=[], next_after="1"),
        ok(status="succeeded"),
        ok(items=[{"text": "b"}], next_after="2"),
        ok(status="succeeded"),
        ok(items=[], next_after="2"),
    )
    with speaking(*answers) as client:
        assert [line["text"] for line in client.iter_logs("r", follow=True)] == ["a", "b"]


def test_a_download_is_complete_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with speaking(httpx.Response(200, content=b"x" * 1000)) as client:
        assert client.download_artifact("r", "a", target).read_bytes() == b"x" * 1000
    target.unlink()
    with speaking(problem(404, "artifact-not-here")) as client, pytest.raises(ApiError):
        client.download_artifact("r", "a", target)
    assert list(tmp_path.iterdir()) == []


def test_a_price_tag_is_read_as_the_typed_document() -> None:
    issued = content("v1-first-compressed")
    with speaking(httpx.Response(200, json=issued)) as client:
        tag = client.price_tag_document(issued["run_id"])
    assert tag.energy.it_energy_kwh.value == issued["it_energy_kwh"]["value"]
    assert tag.as_dict() == issued


def test_a_response_that_is_not_a_price_tag_is_an_error_that_names_the_member() -> None:
    broken = speaking(httpx.Response(200, json={"schema": "pricetag/1"}))
    with broken as client, pytest.raises(InvalidDocument, match="run_id: is missing"):
        client.price_tag_document("r")


def streaming(lines: list[str]) -> Client:
    text = "\n".join(lines)
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return speaking(httpx.Response(200, content=text.encode(), headers=headers))


def test_an_event_stream_is_read_as_the_standard_says() -> None:
    lines = [
        ": a comment",
        "event: status",
        "data: one\u2028",
        "data:two",
        "id: 7",
        "",
        ": a sign of life",
        "",
        "data",
        "",
        "data: kept id",
        "",
        "data: cut off",
    ]
    with streaming(lines) as client:
        events = [(event.event, event.data, event.id) for event in client._stream("r", 0)]
    assert events == [("status", "one\u2028\ntwo", "7"), ("message", "kept id", "7")]


def test_a_page_instead_of_events_is_an_error_that_names_the_address() -> None:
    page = httpx.Response(200, content=b"<html>", headers={"content-type": "text/html"})
    with speaking(page) as client, pytest.raises(ApiError, match="not like a Pricetag server"):
        list(client._stream("r", 0))


@pytest.mark.parametrize("content", [b"<html>Welcome", b"[1]", b"", b"\xff"])
@pytest.mark.parametrize("status", [200, 302])
def test_a_page_of_another_program_is_an_error_that_names_the_address(
    status: int, content: bytes
) -> None:
    other = speaking(httpx.Response(status, content=content))
    with other as client, pytest.raises(ApiError, match="not like a Pricetag server"):
        client.get_run("r")


@pytest.mark.parametrize("token", ["pt_ü", "pt_x\ny", "pt_x y", "pt_\u200b", "pt_\x7f"])
def test_a_token_that_no_header_can_hold_is_an_error_that_hides_it(token: str) -> None:
    with pytest.raises(InvalidConnection, match="the token") as error:
        Client("http://server", token)
    assert token not in str(error.value)


@pytest.mark.parametrize("around", [" ", "\n", "\r\n", "\t"])
def test_blanks_around_a_token_are_not_part_of_it(around: str) -> None:
    sent: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(200, json={})

    transport = httpx.MockTransport(note)
    with Client("http://server", f"{around}pt_x{around}", transport=transport) as client:
        client.get_run("r")
    assert sent == ["Bearer pt_x"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "gopher://proxy:1"),
        ("ALL_PROXY", "http://[::1"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/no/such/file.pem"),
    ],
)
def test_a_proxy_or_certificate_that_cannot_be_used_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConnection, match="check the address, HTTP_PROXY"):
        Client("https://server.example", "pt_x")


@pytest.mark.parametrize("url", ["http://[::1", "http://server:port", "http://a b"])
def test_an_invalid_address_is_an_error(url: str) -> None:
    with pytest.raises(ClientError):
        Client(url, "pt_x").get_run("r")


def stream_events(*ids: str) -> httpx.Response:
    text = "".join(f'id: {id_}\nevent: power\ndata: {{"ids": []}}\n\n' for id_ in ids)
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_the_labs_stream_resumes_after_its_last_event(slept: list[float]) -> None:
    seen: list[httpx.Request] = []
    answers = (stream_events("b-1", "b-2"), problem(503, "database-away"), stream_events("b-3"))
    with speaking(*answers, seen=seen) as client:
        stream = client.stream(("power", "runs"))
        received = [next(stream) for _ in range(3)]
    assert [event["id"] for event in received] == ["b-1", "b-2", "b-3"]
    assert received[0] == {"id": "b-1", "event": "power", "data": {"ids": []}}
    assert [request.headers.get("last-event-id") for request in seen] == [None, "b-2", "b-2"]
    assert seen[0].url.params["topics"] == "power,runs"


def test_the_present_state_of_the_lab_ends_by_itself() -> None:
    with speaking(stream_events("b-1")) as client:
        assert len(list(client.stream(("power",), follow=False))) == 1


def test_a_chart_is_downloaded_by_its_hash() -> None:
    seen: list[httpx.Request] = []
    with speaking(httpx.Response(200, content=b"<svg>"), seen=seen) as client:
        assert client.chart("f" * 64, "svg", theme="dark") == b"<svg>"
    assert seen[0].url.path == f"/v1/charts/{'f' * 64}.svg"
    assert dict(seen[0].url.params) == {"theme": "dark", "size": "wide"}


def test_further_groups_of_a_comparison_have_letters() -> None:
    seen: list[httpx.Request] = []
    with speaking(ok(ratio={}), seen=seen) as client:
        client.compare(["1", "2"], ["3"], others=[["4"], ["5", "6"]])
    sent = dict(seen[0].url.params)
    assert sent == {"a": "1,2", "b": "3", "metric": "it_energy_kwh", "c": "4", "d": "5,6"}
