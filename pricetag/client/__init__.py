"""A typed client of the REST API, for scripts and for the command line.

Example::

    with Client("http://127.0.0.1:8000", "pt_...") as client:
        run = client.create_run({"project": "text", ...})
        for event in client.events(run["id"]):
            print(event["kind"], event["payload"])
        print(client.price_tag(run["id"])["it_energy_kwh"])
"""

from __future__ import annotations

from pricetag.client.books import BookCalls
from pricetag.client.intake import IntakeCalls
from pricetag.client.lab import LabCalls
from pricetag.client.lists import ListCalls
from pricetag.client.papers import PaperCalls
from pricetag.client.people import PeopleCalls
from pricetag.client.prices import PriceCalls
from pricetag.client.runs import RunCalls
from pricetag.client.shares import ShareCalls
from pricetag.client.studies import StudyCalls
from pricetag.wire import (
    ApiError,
    ClientError,
    Event,
    InvalidConnection,
    Page,
    ReportFormat,
    Run,
    RunAccepted,
    ServerUnreachable,
)

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "Event",
    "InvalidConnection",
    "Page",
    "ReportFormat",
    "Run",
    "RunAccepted",
    "ServerUnreachable",
]


class Client(
    RunCalls,
    IntakeCalls,
    StudyCalls,
    ListCalls,
    PriceCalls,
    PaperCalls,
    ShareCalls,
    BookCalls,
    PeopleCalls,
    LabCalls,
):
    """One server, one token.

    Args:
        url: Address of the server, e.g. ``http://127.0.0.1:8000``. None: the variables
            PRICETAG_URL and PRICETAG_TOKEN have address and token.
        token: ``pt_...``; None only reaches the health checks.
        timeout_s: Maximum wait for a response, seconds.
        transport: An httpx transport to use instead of the network.
    """
