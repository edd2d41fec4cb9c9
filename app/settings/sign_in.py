"""How browsers reach the dashboard, and how their users sign in."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode


class SignInSettings(BaseSettings):
    """Public address, proxies, identity provider, roles of its groups."""

    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#]+$",
            description="Address of the dashboard in browsers, for an identity provider's way "
            "back, e.g. `https://lab.example.org/pricetag`; its path is a prefix that a proxy may "
            "keep.",
        ),
    ] = None
    trusted_proxies: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated addresses or networks of proxies whose "
            "`X-Forwarded-Proto`, `X-Forwarded-For` and `X-Forwarded-Prefix` are believed."
        ),
    ] = ["127.0.0.1", "::1"]
    remote_user_proxies: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated addresses or networks of proxies that sign users in: "
            "their `Remote-User` and `Remote-Groups` (comma-separated) are believed. Only they "
            "may be able to reach the server, and they must drop these headers of browsers. "
            "Default: none."
        ),
    ] = []
    oidc_issuer: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#]+$",
            description="Issuer of the identity provider (OpenID Connect) that users sign in "
            "with, exactly as it names itself. Default: the provider is off.",
        ),
    ] = None
    oidc_client_id: Annotated[
        str | None, Field(description="Client ID of this server at the identity provider.")
    ] = None
    oidc_client_secret: Annotated[
        SecretStr | None,
        Field(description="Client secret. Default: a public client, which has none."),
    ] = None
    oidc_name: Annotated[
        str, Field(min_length=1, max_length=60, description="Name of the provider on its button.")
    ] = "single sign-on"
    oidc_scope: Annotated[
        str, Field(description="Scopes requested from the provider, separated by spaces.")
    ] = "openid profile email"
    oidc_groups_claim: Annotated[
        str, Field(description="Claim of the ID token with the user's groups.")
    ] = "groups"
    group_roles: Annotated[
        dict[str, Literal["viewer", "member", "admin"]],
        NoDecode,
        Field(
            description="Roles of groups of the provider or proxy, e.g. `staff=member,it=admin`; "
            "the highest counts, at every sign-in. Without this setting, roles are changed by "
            "administrators alone."
        ),
    ] = {}
    default_role: Annotated[
        Literal["viewer", "member"] | None,
        Field(
            description="Role of users of the provider or proxy whose groups have none. Default: "
            "they cannot sign in."
        ),
    ] = None

    @field_validator("trusted_proxies", "remote_user_proxies", mode="before")
    @classmethod
    def _split_addresses(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        for address in value:
            ip_network(address, strict=False)
        return value

    @field_validator("group_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.strip() for part in value.split(",") if part.strip()]
        if not all("=" in pair for pair in pairs):
            raise ValueError("must be GROUP=ROLE pairs, separated by commas")
        split = [pair.rpartition("=") for pair in pairs]
        return {group.strip(): role.strip() for group, _, role in split}

    @model_validator(mode="after")
    def _whole_provider(self) -> Self:
        if self.oidc_issuer is not None and not (self.oidc_client_id and self.public_url):
            raise ValueError("oidc_issuer also needs oidc_client_id and public_url")
        return self
