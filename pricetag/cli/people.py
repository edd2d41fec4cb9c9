"""Commands about people: who you are, users and their tokens, private projects."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.lifetimes import InvalidLifetimeError, end_of
from pricetag.cli.options import Json, open_client

if TYPE_CHECKING:
    from pricetag.client import Client

Role = Literal["ingest", "viewer", "member", "admin"]
ProjectRole = Literal["member", "owner"]
ROLES = (
    "viewer: read; member: also submit runs; admin: everything; ingest: only send measurements "
    "(pricetag push)."
)
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="User name or ID.")]
ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="Project name.")]

user = typer.Typer(name="user", no_args_is_help=True, help="Manage users and their tokens.")
project = typer.Typer(
    name="project",
    no_args_is_help=True,
    help="Show projects, make them private or open, and manage their members.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("whoami")(whoami)
    app.add_typer(user)
    app.add_typer(project)


def whoami(ctx: typer.Context, json: Json = False) -> None:
    """Show which user, role and token this command line uses."""
    with open_client(ctx) as client:
        me = client.me()
    answer(ctx, json, me, _me_lines)


def _me_lines(me: Mapping[str, Any]) -> Iterable[str]:
    from pricetag.cli.views.people import minute

    token = me["token"]
    limits = [f"only project {token['project']}"] if token["project"] else []
    limits += [f"expires {minute(token['expires_at'])}"] if token["expires_at"] else []
    yield f"{me['user']['name']}, {me['role']}"
    yield f"token: {', '.join([token['name'], *limits])}"
    for membership in me["projects"]:
        yield f"project: {membership['project']} ({membership['role']})"


@user.command("create", epilog="Example: pricetag user create ada --email ada@example.org")
def create_user(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new user.")],
    role: Annotated[Role, typer.Option(help=f"Role of the user. {ROLES}")] = "member",
    email: Annotated[str | None, typer.Option(help="E-mail address of the user.")] = None,
    json: Json = False,
) -> None:
    """Create a user. Next, create a token for them with `pricetag user add-token`."""
    body = {"name": name, "role": role} | ({} if email is None else {"email": email})
    with open_client(ctx) as client:
        created = client.create_user(body)
    answer(ctx, json, created, _user_line)


def _user_line(user: Mapping[str, Any]) -> str:
    state = "disabled" if user["disabled_at"] else "active"
    email = f", {user['email']}" if user["email"] else ""
    return f"{user['name']}: {user['role']}, {state}{email}, ID {user['id']}"


@user.command("sign-in-link", epilog="Example: pricetag user sign-in-link ada --lifetime-h 2")
def make_sign_in_link(
    ctx: typer.Context,
    named: UserArgument,
    lifetime_h: Annotated[
        int, typer.Option(min=1, max=168, help="Number of hours after which the link expires.")
    ] = 24,
    json: Json = False,
) -> None:
    """Print a link that signs a browser in once as a user. Pass it on privately."""
    with open_client(ctx) as client:
        link = client.create_sign_in_link(_user_id(client, named), lifetime_h)
    answer(ctx, json, link, _link_lines)


def _link_lines(link: Mapping[str, Any]) -> Iterator[str]:
    from pricetag.cli.views.people import minute

    yield str(link["url"])
    yield f"signs in as {link['user']}, once, until {minute(link['expires_at'])}"


@user.command("list")
def list_users(ctx: typer.Context, json: Json = False) -> None:
    """List all users, including disabled ones."""
    from pricetag.cli.views.people import users_view

    with open_client(ctx) as client:
        users = list(client.users())
    answer(ctx, json, users, users_view, nothing="No users.")


@user.command("disable")
def disable(ctx: typer.Context, named: UserArgument, json: Json = False) -> None:
    """Disable a user: all of their tokens stop working at once; their runs stay."""
    _change_user(ctx, named, {"disabled": True}, json)


@user.command("enable")
def enable(ctx: typer.Context, named: UserArgument, json: Json = False) -> None:
    """Enable a disabled user; tokens that were not revoked work again."""
    _change_user(ctx, named, {"disabled": False}, json)


@user.command("role")
def change_role(
    ctx: typer.Context,
    named: UserArgument,
    role: Annotated[Role, typer.Argument(metavar="ROLE", help=f"New role of the user. {ROLES}")],
    json: Json = False,
) -> None:
    """Change the role of a user, which limits all of their tokens."""
    _change_user(ctx, named, {"role": role}, json)


def _change_user(ctx: typer.Context, named: str, changes: Mapping[str, Any], json: bool) -> None:
    with open_client(ctx) as client:
        changed = client.change_user(_user_id(client, named), changes)
    answer(ctx, json, changed, _user_line)


def _user_id(client: Client, named: str) -> str:
    """The ID of a user who is named, oneself without being an administrator.

    Raises:
        CliError: If there is no such user.
    """
    try:
        return str(uuid.UUID(named))
    except ValueError:
        pass
    me = client.me()
    if me["user"]["name"] == named or me["role"] != "admin":
        # Others are the administrators' business: the server says so.
        return str(me["user"]["id"]) if me["user"]["name"] == named else _refused(named)
    for user in client.users():
        if user["name"] == named:
            return str(user["id"])
    raise CliError(f"user {named!r} not found; `pricetag user list` lists all users")


def _refused(named: str) -> str:
    raise CliError(f"only an administrator may look up the user {named!r}")


@user.command("tokens")
def list_tokens(ctx: typer.Context, named: UserArgument, json: Json = False) -> None:
    """List the tokens of a user, including revoked ones."""
    from pricetag.cli.views.people import user_tokens_view

    with open_client(ctx) as client:
        tokens = client.user_tokens(_user_id(client, named))
    answer(ctx, json, tokens, user_tokens_view, nothing="No tokens.")


@user.command("add-token", epilog="Example: pricetag user add-token ada --expires 90d")
def add_token(
    ctx: typer.Context,
    named: UserArgument,
    name: Annotated[
        str | None, typer.Option(help="Name of the token, e.g. laptop. Default: the user's name.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="Lifetime of the token, e.g. 12h, 90d or 8w, or the date on which it expires. "
            "Default: it doesn't expire."
        ),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--project", help="Only project that the token may see and use. Default: all."
        ),
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option(help=f"Highest role of the token. Default: the user's role. {ROLES}"),
    ] = None,
    json: Json = False,
) -> None:
    """Create a token for a user, or for yourself. The token is printed only once."""
    try:
        end = None if expires is None else end_of(expires, datetime.now(UTC)).isoformat()
    except InvalidLifetimeError as error:
        raise CliError(f"--expires: {error}", EXIT_USAGE) from error
    optional = {"role": role, "project": scope, "expires_at": end}
    body = {"name": name or named} | {
        key: value for key, value in optional.items() if value is not None
    }
    with open_client(ctx) as client:
        created = client.create_user_token(_user_id(client, named), body)
    answer(ctx, json, created, lambda token: str(token["secret"]))


@user.command("revoke-token")
def revoke_token(
    ctx: typer.Context,
    named: UserArgument,
    token_id: Annotated[
        uuid.UUID,
        typer.Argument(metavar="TOKEN_ID", help="ID of the token, from `pricetag user tokens`."),
    ],
    json: Json = False,
) -> None:
    """Revoke a token of a user; it stops working at once."""
    with open_client(ctx) as client:
        gone = client.revoke_user_token(_user_id(client, named), str(token_id))
    answer(ctx, json, gone, lambda token: f"'{token['name']}' is revoked")


@project.command("list")
def list_projects(ctx: typer.Context, json: Json = False) -> None:
    """List the projects that you may see."""
    from pricetag.cli.views.people import projects_view

    with open_client(ctx) as client:
        projects = list(client.projects())
    answer(
        ctx, json, projects, projects_view, nothing="No projects yet. A run creates its project."
    )


def _project_line(project: Mapping[str, Any]) -> str:
    from pricetag.tag.figures import counted

    counts = f"{counted(project['experiments'], 'experiment')}, {counted(project['runs'], 'run')}"
    return f"{project['name']}: {project['visibility']}, {counts}"


@project.command("show")
def show_project(ctx: typer.Context, named: ProjectArgument, json: Json = False) -> None:
    """Show a project: whether it is private, and how many experiments and runs it has."""
    with open_client(ctx) as client:
        details = client.project(named)
    answer(ctx, json, details, _project_line)


@project.command("private", epilog="Example: pricetag project private reviews")
def make_private(ctx: typer.Context, named: ProjectArgument, json: Json = False) -> None:
    """Make a project private: only its members and administrators see it."""
    _set_visibility(ctx, named, "private", json)


@project.command("open")
def make_open(ctx: typer.Context, named: ProjectArgument, json: Json = False) -> None:
    """Make a project open: everybody in the lab sees it."""
    _set_visibility(ctx, named, "open", json)


def _set_visibility(ctx: typer.Context, named: str, visibility: str, json: bool) -> None:
    with open_client(ctx) as client:
        changed = client.change_project(named, {"visibility": visibility})
    answer(ctx, json, changed, _project_line)


@project.command("members")
def list_members(ctx: typer.Context, named: ProjectArgument, json: Json = False) -> None:
    """List the members of a project with their roles."""
    from pricetag.cli.views.people import members_view

    with open_client(ctx) as client:
        members = client.members(named)
    answer(ctx, json, members, members_view, nothing="No members.")


def _member_line(member: Mapping[str, Any]) -> str:
    return f"{member['user']}: {member['role']}"


@project.command("add-member", epilog="Example: pricetag project add-member reviews ada")
def add_member(
    ctx: typer.Context,
    named: ProjectArgument,
    member: UserArgument,
    role: Annotated[
        ProjectRole,
        typer.Option(help="Role in the project. owner: also manage members and visibility."),
    ] = "member",
    json: Json = False,
) -> None:
    """Add a user to a project as a member or owner, or change their role there."""
    with open_client(ctx) as client:
        put = client.put_member(named, member, role)
    answer(ctx, json, put, _member_line)


@project.command("remove-member")
def remove_member(
    ctx: typer.Context, named: ProjectArgument, member: UserArgument, json: Json = False
) -> None:
    """Remove a member from a project."""
    with open_client(ctx) as client:
        gone = client.remove_member(named, member)
    answer(ctx, json, gone, lambda row: f"'{row['user']}' is no longer a member of '{named}'")
