"""``pricetag sign-in``: a one-time link to the pages, on the database itself."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from app.cli.support import Json, fail, read_settings, show, with_session
from app.db import Session
from app.edge.addresses import address_of
from app.services.people import sign_in_links, users
from app.settings import Settings


def sign_in(
    user: Annotated[
        str | None,
        typer.Option(help="User to sign in, by name or ID. Default: the first administrator."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help=(
                "Address of the server in the link. Default: the address of the server that runs "
                "on this data folder, else PRICETAG_HOST and PRICETAG_PORT."
            )
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print a link that signs a browser in once, within an hour; needs no token."""
    address = (url or server_address(read_settings())).rstrip("/")
    code, name = with_session(lambda session: _link(session, user))
    link = f"{address}/login/link/{code}"
    show(json, {"user": name, "url": link}, link)


async def _link(session: Session, name: str | None) -> tuple[str, str]:
    user = await (users.named(session, name) if name else users.first_admin(session))
    return await sign_in_links.create(session, user), user.name


def server_address(settings: Settings) -> str:
    path = settings.data_dir / "server.json"
    try:
        return str(json_module.loads(path.read_text(encoding="utf-8"))["url"])
    except FileNotFoundError:
        return _configured(settings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise fail(f"{path} cannot be read ({error}); name the server with --url") from error


def _configured(settings: Settings) -> str:
    """The address of a server that is started with these settings; it is not running now."""
    if settings.port == 0:
        raise fail(
            "no server runs on this data folder, and the next one picks a free port "
            "(PRICETAG_PORT=0): start it first, or name it with --url"
        )
    url = address_of(settings.host, settings.port)
    typer.echo(
        f"pricetag: no server runs on this data folder; the link works once one is started at "
        f"{url} (another address: --url)",
        err=True,
    )
    return url
