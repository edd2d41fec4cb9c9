"""An identity provider (OpenID Connect): authorization code flow with PKCE (S256) and a nonce."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client, oauth2_client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from app.services.errors import ForbiddenError, PricetagError
from app.settings import Settings

# Authlib takes httpx2 where it is installed, and httpx elsewhere.
TransportError: type[Exception] = oauth2_client.httpx2.HTTPError

TIMEOUT_S = 10.0
LEEWAY_S = 60
ALGORITHMS = ("RS256", "PS256", "ES256", "RS384", "RS512", "ES384", "ES512", "EdDSA")
"""Signatures with a public key; a provider's shared secret or no signature is not accepted."""


class ProviderAwayError(PricetagError):
    """The identity provider cannot be reached, or responds with something else."""

    code = "identity-provider-away"
    status = 503


class SignInRejectedError(ForbiddenError):
    """The identity provider did not confirm who this is, or they may not sign in here."""

    code = "sign-in-rejected"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom a provider or a proxy vouches for.

    Attributes:
        issuer: Who vouches.
        subject: The issuer's lasting ID of the person.
        name: Name to show.
        email: Their address, if it was confirmed.
        groups: Groups of the person.
    """

    issuer: str
    subject: str
    name: str
    email: str | None = None
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser's visit to the provider.

    Attributes:
        url: Where the browser goes.
        details: What has to be kept until it comes back: state, nonce and verifier.
    """

    url: str
    details: Mapping[str, str]


def redirect_uri(settings: Settings) -> str:
    """Where the provider sends browsers back to; it has to be registered there."""
    return f"{(settings.public_url or '').rstrip('/')}/login/oidc/return"


async def begin(settings: Settings) -> Visit:
    """Begins a sign-in.

    Raises:
        ProviderAwayError: If the provider cannot be reached.
    """
    async with _client(settings) as client:
        metadata = await _metadata(settings, client)
    details = {
        "state": secrets.token_urlsafe(24),
        "nonce": secrets.token_urlsafe(24),
        "verifier": secrets.token_urlsafe(48),
    }
    url, _ = client.create_authorization_url(
        metadata["authorization_endpoint"],
        state=details["state"],
        nonce=details["nonce"],
        code_verifier=details["verifier"],
    )
    return Visit(str(url), details)


async def finish(settings: Settings, details: Mapping[str, str], code: str) -> Identity:
    """Who came back from the provider.

    Args:
        settings: The provider.
        details: Details of the visit.
        code: The provider's code.

    Raises:
        ProviderAwayError: If the provider cannot be reached.
        SignInRejectedError: If it does not confirm the code, or its token is not valid.
    """
    async with _client(settings) as client:
        metadata = await _metadata(settings, client)
        try:
            token = await client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=details["verifier"],
            )
        except OAuthError as error:
            raise SignInRejectedError(
                f"The identity provider rejected the sign-in ({error.error}); try again."
            ) from error
        except (TransportError, ValueError) as error:
            raise _away(settings, error) from error
        keys = await _json(settings, client, metadata["jwks_uri"])
    return _identity(settings, _claims(settings, metadata, keys, token, details["nonce"]))


def _client(settings: Settings) -> AsyncOAuth2Client:
    secret = settings.oidc_client_secret
    return AsyncOAuth2Client(
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        token_endpoint_auth_method="client_secret_basic" if secret else "none",
        scope=settings.oidc_scope,
        redirect_uri=redirect_uri(settings),
        code_challenge_method="S256",
        timeout=TIMEOUT_S,
        trust_env=False,
    )


async def _metadata(settings: Settings, client: AsyncOAuth2Client) -> Mapping[str, Any]:
    issuer = settings.oidc_issuer or ""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    metadata = await _json(settings, client, url)
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if metadata.get("issuer") != issuer or not all(metadata.get(name) for name in needed):
        raise _away(settings, ValueError(f"{url} is not the configuration of this issuer"))
    return metadata


async def _json(settings: Settings, client: AsyncOAuth2Client, url: str) -> Mapping[str, Any]:
    try:
        response = await client.request("GET", url, withhold_token=True)
        response.raise_for_status()
        document = response.json()
    except (TransportError, ValueError) as error:
        raise _away(settings, error) from error
    if not isinstance(document, dict):
        raise _away(settings, ValueError(f"{url} is not a JSON object"))
    return document


def _away(settings: Settings, error: Exception) -> ProviderAwayError:
    return ProviderAwayError(
        f"The identity provider {settings.oidc_issuer} cannot be used now"
        f" ({str(error) or type(error).__name__}). Try again shortly, or use a one-time link."
    )


def _claims(
    settings: Settings,
    metadata: Mapping[str, Any],
    keys: Mapping[str, Any],
    token: Mapping[str, Any],
    nonce: str,
) -> Mapping[str, Any]:
    """The claims of a valid ID token.

    Raises:
        SignInRejectedError: If signature, issuer, audience, time or nonce is wrong.
    """
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    accepted = [name for name in ALGORITHMS if name in offered]
    try:
        decoded = jwt.decode(
            token["id_token"],
            key=KeySet.import_key_set(keys),  # type: ignore[arg-type]
            registry=JWSRegistry(algorithms=accepted, strict_check_header=False),
        )
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": settings.oidc_issuer},
                "aud": {"essential": True, "value": settings.oidc_client_id},
                "nonce": {"essential": True, "value": nonce},
            },
            params={
                "nonce": nonce,
                "client_id": settings.oidc_client_id,
                "access_token": token.get("access_token"),
            },
        )
        claims.validate(leeway=LEEWAY_S)
    except (JoseError, KeyError, ValueError, TypeError) as error:
        raise SignInRejectedError(
            "The identity provider's token is not valid, so nobody was signed in; try again."
        ) from error
    return dict(claims)


def _identity(settings: Settings, claims: Mapping[str, Any]) -> Identity:
    groups = claims.get(settings.oidc_groups_claim)
    email = claims.get("email")
    is_confirmed = isinstance(email, str) and claims.get("email_verified") is True
    names = (claims.get(key) for key in ("preferred_username", "name", "email"))
    name = next((name for name in names if isinstance(name, str) and name), str(claims["sub"]))
    return Identity(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        name=name,
        email=email if is_confirmed else None,
        groups=[str(group) for group in groups] if isinstance(groups, list) else (),
    )
