"""A small OpenID Connect provider: `python -m tests.support.provider PORT_FILE`.

It confirms everybody at once. What the ID token says, and its errors, are chosen by
parameters that a test adds to the address of the authorization: `as`, `groups`, `email`, `wrong`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "pricetag", "a-client-secret"
KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})


class Provider(BaseHTTPRequestHandler):
    codes: ClassVar[dict[str, dict[str, str]]] = {}

    @property
    def issuer(self) -> str:
        _, port = self.connection.getsockname()
        return f"http://127.0.0.1:{port}"

    def log_message(self, format: str, *args: Any) -> None:
        return

    def reply(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        match parts.path:
            case "/.well-known/openid-configuration":
                self.reply(200, self.configuration())
            case "/keys":
                self.reply(200, {"keys": [KEY.as_dict(private=False)]})
            case "/authorize":
                self.authorize(query)
            case _:
                self.reply(404, {})

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }

    def authorize(self, query: dict[str, str]) -> None:
        is_right = (
            query.get("client_id") == CLIENT
            and query.get("response_type") == "code"
            and query.get("code_challenge_method") == "S256"
            and "openid" in query.get("scope", "").split()
            and query.get("nonce")
            and query.get("state")
        )
        if not is_right:
            self.reply(400, {"error": "invalid_request"})
            return
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "session_state": "of the provider"}
        self.send_response(303)
        self.send_header("Location", f"{query['redirect_uri']}?{urlencode(back)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        form = dict(parse_qsl(self.rfile.read(size).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or not self.is_client() or not is_proven(asked, form):
            self.reply(400, {"error": "invalid_grant"})
            return
        self.reply(
            200,
            {
                "access_token": secrets.token_urlsafe(16),
                "token_type": "Bearer",
                "id_token": self.id_token(asked),
            },
        )

    def is_client(self) -> bool:
        sent = self.headers.get("Authorization", "").removeprefix("Basic ")
        return base64.b64decode(sent).decode() == f"{CLIENT}:{SECRET}"

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": f"id of {asked.get('as', 'ada')}",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": asked.get("as", "ada"),
            "groups": asked["groups"].split(",") if asked.get("groups") else [],
        }
        if "email" in asked:
            claims |= {"email": asked["email"], "email_verified": "verified" in asked}
        wrong = asked.get("wrong")
        changes: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "another"},
            "issuer": {"iss": "https://evil.test"},
            "audience": {"aud": "another"},
            "expired": {"iat": now - 9000, "exp": now - 8000},
        }
        claims |= changes.get(wrong or "", {})
        if wrong == "no-nonce":
            del claims["nonce"]
        if wrong == "unsigned":
            parts = ({"alg": "none"}, claims)
            return ".".join(encoded(json.dumps(part).encode()) for part in parts) + "."
        key = OTHER_KEY if wrong == "signature" else KEY
        return jwt.encode({"alg": "RS256", "kid": "first"}, claims, key)


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def is_proven(asked: dict[str, str], form: dict[str, str]) -> bool:
    """Whether the verifier fits the challenge, and the address is the same."""
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return (
        encoded(digest) == asked["code_challenge"]
        and form.get("redirect_uri") == asked["redirect_uri"]
        and form.get("grant_type") == "authorization_code"
    )


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    Path(sys.argv[1]).write_text(str(server.server_address[1]), encoding="utf-8")
    server.serve_forever()
