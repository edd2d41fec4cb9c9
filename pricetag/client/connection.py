"""One server, one token: how requests are sent, sent again, and refused."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from pricetag.wire import ApiError, InvalidConnection, ServerUnreachable

STREAM_SILENCE_S = 45.0
"""The server sends a sign of life every 15 seconds; after three missed ones we reconnect."""

RECONNECT_S = 1.0
ATTEMPTS = 4
LONGEST_WAIT_S = 10.0

Query = Mapping[str, str | int | Sequence[str] | None]


class Connection:
    """One server, one token.

    Args:
        url: Address of the server, such as ``http://127.0.0.1:8000``.
        token: ``pt_...``; None reaches the health checks alone.
        timeout_s: Longest wait for an answer, seconds.
        transport: An httpx transport to use instead of the network.

    Raises:
        InvalidConnection: If address, token, proxy or certificates cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InvalidConnection("the token has characters that no token has; copy it again")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment does not reach this machine's own loopback.
        loopback = _host(self.url) in {"localhost", "127.0.0.1", "::1"}
        try:
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(timeout_s, connect=5.0),
                trust_env=not loopback,
                transport=transport,
            )
        except (httpx.InvalidURL, ValueError, OSError, ImportError) as error:
            raise InvalidConnection(
                f"cannot connect to {self.url}: {error} (check the address, HTTP_PROXY, "
                "HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR)"
            ) from error

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        params = {key: value for key, value in (query or {}).items() if value is not None}
        return as_object(self._send("GET", path, params=params))

    def _json(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return as_object(self._send(method, path, json=dict(body), retry=False))

    def _pages(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._get(path, {**query, "cursor": cursor})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _send(
        self, method: str, path: str, *, retry: bool = True, **options: Any
    ) -> httpx.Response:
        """Sends what may be sent twice again while the server or its database is away."""
        for attempt in range(1, ATTEMPTS + 1):
            last = not retry or attempt == ATTEMPTS
            try:
                answer = self._http.request(method, path, **options)
            except httpx.RequestError as error:
                if last:
                    raise unreachable(self.url, error) from error
                time.sleep(0.1 * 2**attempt)
                continue
            if answer.status_code == 503 and not last:
                time.sleep(min(LONGEST_WAIT_S, _seconds(answer.headers.get("Retry-After"))))
                continue
            raise_for(answer)
            return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _stream(self, run_id: str, last_event_id: int) -> Iterator[ServerSentEvent]:
        headers = {"Last-Event-ID": str(last_event_id)} if last_event_id else {}
        timeout = httpx.Timeout(STREAM_SILENCE_S, connect=5.0)
        path = f"/v1/runs/{run_id}/events"
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
            raise_for(answer)
            try:
                # An event without data is a sign of life.
                yield from (event for event in EventSource(answer).iter_sse() if event.data)
            except SSEError as error:
                raise not_pricetag(answer) from error


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError as error:
        raise InvalidConnection(f"{url} is not an address: {error}") from error


def as_object(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        ApiError: If it is another program's answer: a page, a redirect.
    """
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise not_pricetag(answer)
    return cast(dict[str, Any], found)


def not_pricetag(answer: httpx.Response) -> ApiError:
    """What to raise when another program answers."""
    message = f"{answer.url} answers, but not as a Pricetag server does; check the address"
    return ApiError(answer.status_code, "http-error", message)


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else RECONNECT_S


def unreachable(url: str, error: httpx.RequestError) -> ServerUnreachable:
    """What to raise when no answer came, with the reason."""
    detail = str(error) or type(error).__name__
    return ServerUnreachable(f"no answer from {url}: {detail}")


def raise_for(answer: httpx.Response) -> None:
    """Lets good answers pass.

    Raises:
        ApiError: If the server, or what stands before it, refused.
    """
    if answer.status_code < 400:
        return
    answer.read()
    try:
        problem = answer.json()
        code, message = str(problem["code"]), str(problem["detail"])
        errors = problem.get("errors", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not our server's own answer: a proxy in between, or another program on the port.
        code, message, errors = "http-error", f"{answer.status_code} {answer.reason_phrase}", []
    raise ApiError(answer.status_code, code, message, errors)
