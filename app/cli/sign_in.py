"""``pricetag sign-in``: a one-time link to the pages, on the database itself."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from app.cli.support import Json, fail, read_settings, show, with_session
from app.db import Session
from app.services import sign_in_links, users
from app.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8000"


def sign_in(
    user: Annotated[
        str | None,
        typer.Option(help="User to sign in, by name or ID. Default: the first administrator."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of the server in the link. Default: that of the server which runs on "
            "this data folder."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print a link that signs a browser in once, within an hour; needs no token."""
    settings = read_settings()
    code, name = with_session(lambda session: _link(session, user))
    link = f"{(url or _address(settings)).rstrip('/')}/login/link/{code}"
    show(json, {"user": name, "url": link}, link)


async def _link(session: Session, name: str | None) -> tuple[str, str]:
    user = await (users.named(session, name) if name else users.first_admin(session))
    return await sign_in_links.create(session, user), user.name


def _address(settings: Settings) -> str:
    path = settings.data_dir / "server.json"
    try:
        return str(json_module.loads(path.read_text(encoding="utf-8"))["url"])
    except FileNotFoundError:
        return DEFAULT_URL
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise fail(f"{path} cannot be read ({error}); name the server with --url") from error
