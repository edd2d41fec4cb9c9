"""``pricetag token``: tokens on the database itself."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from app.cli.support import Json, fail, show, with_session
from app.schemas.tokens import TokenCreate
from app.services.people import tokens
from app.services.principals import DirectAccess
from pricetag.cli.console import console
from pricetag.cli.lifetimes import InvalidLifetimeError, end_of
from pricetag.cli.people import ROLES
from pricetag.cli.views.people import tokens_view
from pricetag.field_messages import message_of

token = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke API tokens on the server's machine; needs no token.",
)

OPTIONS = {"expires_at": "expires"}
"""Fields of a token whose option has another name."""


@token.command("create", epilog="Example: pricetag token create --name ada --expires 90d")
def create_token(
    name: Annotated[
        str | None, typer.Option(help="Name of the token, e.g. laptop. Default: the user's name.")
    ] = None,
    role: Annotated[
        Literal["ingest", "viewer", "member", "admin"] | None,
        typer.Option(
            help="Highest role of the token. Default: the user's role; member for a new user. "
            f"{ROLES}"
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="User of the token, by name or ID. Default: the user whose name is --name, "
            "created if missing."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="Lifetime of the token, e.g. 12h, 90d or 8w, or the date on which it expires. "
            "Default: it doesn't expire."
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Only project that the token may see and use. Default: all.")
    ] = None,
    json: Json = False,
) -> None:
    """Create a token. The token is printed only once."""
    if name is None and user is None:
        raise fail("name the user of the token: --user for an existing one, --name for a new one")
    try:
        end = None if expires is None else end_of(expires, datetime.now(UTC))
        wanted = TokenCreate(
            name=name or user or "",
            role=role if user is not None else role or "member",
            user=user,
            project=project,
            expires_at=end,
        )
    except InvalidLifetimeError as error:
        raise fail(f"--expires: {error}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        option = OPTIONS.get(str(fault["loc"][0]), fault["loc"][0])
        raise fail(f"--{option}: {message_of(fault)}") from error
    by = DirectAccess.of_this_process()
    created = with_session(lambda session: tokens.create(session, wanted, by))
    show(json, created.model_dump(mode="json"), created.secret)


@token.command("list")
def list_tokens(json: Json = False) -> None:
    """List the tokens of all users, including revoked ones."""
    items = [item.model_dump(mode="json") for item in with_session(tokens.list_all).items]
    if json or not items:
        show(json, items, "No tokens.")
    else:
        console().print(tokens_view(items))


@token.command("revoke")
def revoke_token(
    token_id: Annotated[
        uuid.UUID,
        typer.Argument(metavar="TOKEN_ID", help="ID of the token, from `pricetag token list`."),
    ],
    json: Json = False,
) -> None:
    """Revoke a token; it stops working at once."""
    by = DirectAccess.of_this_process()
    gone = with_session(lambda session: tokens.revoke(session, token_id, by))
    show(json, gone.model_dump(mode="json"), f"'{gone.name}' is revoked.")
