"""Pushes a run when its program has ended, which must not fail for it."""

from __future__ import annotations

from collections.abc import Callable

from pricetag.cli.console import CliError, complain

TIMEOUT_S = 10.0


def push_ended(
    run_id: str,
    say: Callable[[str], None] = complain,
    *,
    url: str | None = None,
    token: str | None = None,
) -> bool:
    """Pushes a run that has just ended: a failure is one line, since the program has succeeded.

    Args:
        run_id: The run.
        say: Prints a line.
        url: Address of the server; by default as the settings name it.
        token: Token; by default that of the settings.

    Returns:
        Whether the run is on the server.
    """
    from pricetag.cli.connection import resolve
    from pricetag.cli.options import NO_TOKEN
    from pricetag.client import ApiError, Client, ClientError
    from pricetag.configuration import ConfigurationError
    from pricetag.local.pushing import UNAUTHENTICATED, IncompleteError, PushError
    from pricetag.local.pushing import push as send
    from pricetag.local.runs import read_run
    from pricetag.local.settings import local_folder

    has_token = True
    try:
        run = read_run(local_folder() / run_id)
        if run is None:
            raise PushError("its result cannot be read")
        connection = resolve(url, token)
        has_token = connection.token is not None
        with Client(connection.url, connection.token, timeout_s=TIMEOUT_S) as client:
            state = send(run, client, is_patient=False)
    except IncompleteError as error:
        say(f"the run on the server is {error}")
        return False
    except (CliError, ClientError, ConfigurationError, PushError, OSError) as error:
        problem = str(error)
        if isinstance(error, ApiError) and error.status == UNAUTHENTICATED:
            problem = f"{error} (PRICETAG_TOKEN)" if has_token else NO_TOKEN
        say(f"the run is not pushed: {problem}; later: pricetag push {run_id[:8]}")
        return False
    except KeyboardInterrupt:
        say(f"the push was interrupted; it continues with: pricetag push {run_id[:8]}")
        return False
    for warning in state["warnings"]:
        say(warning)
    say(f"pushed: {connection.url}/runs/{run_id}")
    return True
