"""One server, one token: sending requests, retries and errors."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote, urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from pricetag.wire import ApiError, InvalidConnection, ServerUnreachable, key_fault

STREAM_SILENCE_S = 45.0
"""The server sends a keep-alive every 15 seconds; after three missed ones we reconnect."""

RECONNECT_S = 1.0
ATTEMPTS = 4
LONGEST_WAIT_S = 10.0

Query = Mapping[str, str | int | Sequence[str] | None]


class Connection:
    """One server, one token.

    Args:
        url: Address of the server, e.g. ``http://127.0.0.1:8000``. None: the variables
            PRICETAG_URL and PRICETAG_TOKEN have address and token.
        token: ``pt_...``; None only reaches the health checks.
        timeout_s: Maximum wait for a response, seconds.
        transport: An httpx transport to use instead of the network.

    Raises:
        InvalidConnection: If address, token, proxy or certificates cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if url is None:
            url, token = os.environ.get("PRICETAG_URL"), token or os.environ.get("PRICETAG_TOKEN")
        if not url:
            raise InvalidConnection("no address: pass the server's, or set PRICETAG_URL")
        self.url = url.rstrip("/")
        token = token.strip() if token is not None else None
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise InvalidConnection("the token contains invalid characters; copy it again")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy from the environment does not reach this machine's loopback.
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

    def _post_described(
        self, path: str, described: Mapping[str, Any] | str, key: str | None
    ) -> dict[str, Any]:
        """Posts a description, as data or as YAML text, once however often it is sent.

        Raises:
            ValueError: If the key cannot be sent.
        """
        if key is not None and (fault := key_fault(key)) is not None:
            raise ValueError(f"idempotency_key {fault}")
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        if isinstance(described, str):
            headers["Content-Type"] = "application/yaml"
            response = self._send("POST", path, headers=headers, content=described.encode())
        else:
            response = self._send("POST", path, headers=headers, json=dict(described))
        return as_object(response)

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
        """Sends a request; retries idempotent ones while the server or its database is away."""
        for attempt in range(1, ATTEMPTS + 1):
            last = not retry or attempt == ATTEMPTS
            try:
                response = self._http.request(method, path, **options)
            except httpx.RequestError as error:
                if last:
                    raise unreachable(self.url, error) from error
                time.sleep(0.1 * 2**attempt)
                continue
            if response.status_code == 503 and not last:
                time.sleep(min(LONGEST_WAIT_S, _seconds(response.headers.get("Retry-After"))))
                continue
            raise_for(response)
            return response
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _stream(self, run_id: str, last_event_id: int) -> Iterator[ServerSentEvent]:
        path = f"/v1/runs/{path_segment(run_id)}/events"
        yield from self._events(path, str(last_event_id) if last_event_id else None)

    def _events(self, path: str, last_event_id: str | None) -> Iterator[ServerSentEvent]:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        timeout = httpx.Timeout(STREAM_SILENCE_S, connect=5.0)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            raise_for(response)
            try:
                # An event without data is a keep-alive.
                yield from (event for event in EventSource(response).iter_sse() if event.data)
            except SSEError as error:
                raise not_pricetag(response) from error


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError as error:
        raise InvalidConnection(f"{url} is not an address: {error}") from error


def as_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a response.

    Raises:
        ApiError: If another program responded, e.g. with a page or a redirect.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise not_pricetag(response)
    return cast(dict[str, Any], body)


def not_pricetag(response: httpx.Response) -> ApiError:
    """The error for a response of another program."""
    message = f"{response.url} responded, but not like a Pricetag server; check the address"
    return ApiError(response.status_code, "http-error", message)


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else RECONNECT_S


def unreachable(url: str, error: httpx.RequestError) -> ServerUnreachable:
    """The error for a missing response, with the reason."""
    detail = str(error) or type(error).__name__
    return ServerUnreachable(f"no response from {url}: {detail} (is the server running?)")


def raise_for(response: httpx.Response) -> None:
    """Accepts successful responses.

    Raises:
        ApiError: If the server, or a proxy, sent an error.
    """
    if response.status_code < 400:
        return
    response.read()
    try:
        problem = response.json()
        code, message = str(problem["code"]), str(problem["detail"])
        errors = problem.get("errors", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not from our server, but from a proxy or another program on the port.
        code, message, errors = "http-error", f"{response.status_code} {response.reason_phrase}", []
    raise ApiError(response.status_code, code, message, errors)


def path_segment(name: str) -> str:
    """A name as one segment of a path, with any characters escaped."""
    encoded = quote(name, safe="")
    # As they are, these would be resolved like folders.
    return encoded.replace(".", "%2E") if name in (".", "..") else encoded
