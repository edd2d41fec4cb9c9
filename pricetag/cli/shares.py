"""Commands about share links, which show results to people without a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.find import object_id, run_id
from pricetag.cli.options import RUN_HELP, Json, open_client
from pricetag.cli.papers import PaperArgument, paper_id

if TYPE_CHECKING:
    from pricetag.cli.views.tables import ListTable
    from pricetag.client import Client
    from pricetag.client.shares import Kind

Anonymous = Annotated[
    bool,
    typer.Option(
        "--anonymous",
        help="Show the variant for blind review: no names of lab, projects, people or nodes.",
    ),
]
Days = Annotated[
    int,
    typer.Option(min=1, max=3650, help="Number of days after which the link no longer works."),
]

share = typer.Typer(
    name="share",
    no_args_is_help=True,
    help="Manage share links: papers, reports and runs, shown to people without a token.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(share)


@share.command("paper", epilog="Example: pricetag share paper 6f0c --anonymous --days 60")
def share_paper(
    ctx: typer.Context,
    named: PaperArgument,
    anonymous: Anonymous = False,
    days: Days = 90,
    json: Json = False,
) -> None:
    """Create a link to the newest report on a paper."""
    _create(ctx, "paper", lambda client: paper_id(client, named), anonymous, days, json)


@share.command("report")
def share_report(
    ctx: typer.Context,
    report: Annotated[
        str,
        typer.Argument(
            metavar="REPORT", help="ID of the report, or its first characters (at least 4)."
        ),
    ],
    anonymous: Anonymous = False,
    days: Days = 90,
    json: Json = False,
) -> None:
    """Create a link to a report."""

    def find(client: Client) -> str:
        return object_id(report, client.list_reports(), "report", "GET /v1/reports")

    _create(ctx, "report", find, anonymous, days, json)


@share.command("run", epilog="Example: pricetag share run last")
def share_run(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help=f"Run to share: {RUN_HELP}.")],
    anonymous: Anonymous = False,
    days: Days = 90,
    json: Json = False,
) -> None:
    """Create a link to the newest price tag of a run."""
    _create(ctx, "run", lambda client: run_id(client, run), anonymous, days, json)


def _create(
    ctx: typer.Context,
    kind: Kind,
    find: Callable[[Client], str],
    anonymous: bool,
    days: int,
    as_json: bool,
) -> None:
    with open_client(ctx) as client:
        created = client.create_share(kind, find(client), anonymous=anonymous, days=days)
    answer(ctx, as_json, created, _made)


@share.command("list")
def list_shares(
    ctx: typer.Context,
    everyone: Annotated[
        bool, typer.Option("--all", help="List the links of all users. Administrators only.")
    ] = False,
    json: Json = False,
) -> None:
    """List your share links, newest first, with the number of their uses."""
    with open_client(ctx) as client:
        shares = list(client.shares(everyone=everyone))
    answer(
        ctx,
        json,
        shares,
        _table,
        nothing="No share links. Create one with: pricetag share paper PAPER",
    )


@share.command("withdraw")
def withdraw(
    ctx: typer.Context,
    share_id: Annotated[
        str,
        typer.Argument(
            metavar="SHARE", help="ID of the link, or its first characters (at least 4)."
        ),
    ],
    json: Json = False,
) -> None:
    """Withdraw a share link: it stops working at once."""
    with open_client(ctx) as client:
        target = object_id(share_id, _withdrawable(client), "share link", "`pricetag share list`")
        withdrawn = client.withdraw_share(target)
    answer(ctx, json, withdrawn, lambda read: f"{read['kind']} {read['title']}: link withdrawn")


def _withdrawable(client: Client) -> Iterator[Mapping[str, Any]]:
    """The links that the caller may withdraw: their own, or as an administrator everyone's."""
    yield from client.shares(everyone=client.me()["role"] == "admin")


def _made(created: Mapping[str, Any]) -> Iterator[str]:
    yield created["url"]
    names = "without names" if created["anonymous"] else "with names"
    yield f"{created['kind']} {created['title']}, {names}, until {created['expires_at']}"
    yield f"shown only once; withdraw it with: pricetag share withdraw {created['id']}"


def _table(shares: Sequence[Mapping[str, Any]]) -> ListTable:
    from pricetag.cli.views.tables import ListTable

    rows = [
        (
            each["kind"],
            each["title"],
            "blind" if each["anonymous"] else "with names",
            _state(each),
            str(each["use_count"]),
            each["user"],
            each["id"],
        )
        for each in shares
    ]
    return ListTable(("Shows", "~Title", "Variant", "State", "Uses", "~User", "ID"), rows)


def _state(each: Mapping[str, Any]) -> str:
    if each["withdrawn_at"]:
        return "withdrawn"
    return f"until {each['expires_at'][:10]}" if each["in_force"] else "ended"
