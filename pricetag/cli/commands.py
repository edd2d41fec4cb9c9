"""The module of each command, and its summary: the list of all commands loads no other module."""

from __future__ import annotations

from typing import NamedTuple


class Home(NamedTuple):
    """A command's module, and the first paragraph of its help."""

    module: str
    summary: str


COMMANDS = {
    "submit": Home("running", "Submit a job file as a run, which a worker executes and meters."),
    "quote": Home(
        "quotes",
        "Estimate the energy, emissions and cost of a job file before it runs, from similar runs.",
    ),
    "runs": Home("running", "List runs, newest first."),
    "view": Home(
        "saved_views",
        "Manage saved views: named filters, columns and order of the dashboard's list of runs.",
    ),
    "queue": Home(
        "queue",
        "Show the runs that wait in each pool, why they wait, and when each is expected to start.",
    ),
    "priority": Home(
        "queue",
        "Change the priority of your own queued run, or as an administrator of any run.",
    ),
    "show": Home(
        "running",
        "Show a run with its price tag: energy, emissions, cost and accuracy, by stage.",
    ),
    "logs": Home("running", "Print the log of a run; with --json, one JSON object per line."),
    "cancel": Home(
        "running",
        "Cancel a queued or running run. The energy already used stays on its price tag.",
    ),
    "resume": Home(
        "running",
        "Resume a canceled or failed run; all its attempts stay on one price tag.",
    ),
    "study": Home(
        "studies",
        "Submit a study, a search over runs of one job: `pricetag study FILE`. Show and cancel "
        "studies.",
    ),
    "studies": Home("studies", "List studies, newest first."),
    "report": Home(
        "reports",
        "Create a report on runs, with tables and a methods statement for a paper.",
    ),
    "paper": Home(
        "papers",
        "Collect the runs behind a paper, freeze them, and report on all of them.",
    ),
    "share": Home(
        "shares",
        "Manage share links: papers, reports and runs, shown to people without a token.",
    ),
    "verify": Home(
        "pricing",
        "Verify a price tag, or the archive of a paper.",
    ),
    "compare": Home(
        "pricing",
        "Compare runs, or two to eight groups of repeated runs, as ratios with 95% intervals.",
    ),
    "insights": Home(
        "insights",
        "Show several runs together: quality against cost, curves of searches, cost of a result.",
    ),
    "reprice": Home(
        "pricing",
        "Issue a new version of a price tag, with the factors known now or at an earlier time.",
    ),
    "energy": Home(
        "energy",
        "Show where the lab's energy went: used by nodes, charged to runs, and unallocated.",
    ),
    "budget": Home(
        "budgets",
        "Manage budgets of energy, carbon or money, which warn, reject runs or stop them.",
    ),
    "site": Home(
        "factors",
        "Manage sites: where nodes are, with their grid zone, time zone and factors.",
    ),
    "factor": Home(
        "factors",
        "Manage factors that turn energy into carbon, water and cost: PUE, carbon intensity, "
        "tariff, ...",
    ),
    "price": Home(
        "books",
        "Manage the price book: what an hour of a device costs, in the cloud or in the lab.",
    ),
    "carbon": Home(
        "books",
        "Manage hourly carbon intensities of grid zones, from files or from a provider.",
    ),
    "whoami": Home("people", "Show which user, role and token this command line uses."),
    "user": Home("people", "Manage users and their tokens."),
    "session": Home(
        "service_state",
        "Show the browsers that are signed in to the dashboard, and sign them out.",
    ),
    "project": Home(
        "people",
        "Show projects, make them private or open, and manage their members.",
    ),
    "audit": Home(
        "budgets",
        "Show the audit log: who changed what and when, newest first. Administrators only.",
    ),
    "run": Home("local_runs", "Run a program and meter it on this machine, without a server."),
    "import": Home(
        "importing",
        "Import measurements of other tools as local runs, with price tags.",
    ),
    "codecarbon": Home(
        "codecarbon",
        "Print the settings with which CodeCarbon sends its measurements to the server.",
    ),
    "clean": Home(
        "cleaning",
        "List the old local runs of this machine, or delete them with their journals.",
    ),
    "push": Home(
        "pushing",
        "Send local runs to the server, which computes their price tags from their readings.",
    ),
    "recipes": Home(
        "local",
        "List what jobs can do: the stage kinds of recipes, such as train, or the options of one.",
    ),
    "estimate": Home(
        "local",
        "Compute energy, emissions and cost from figures of your own: devices, W, hours, PUE.",
    ),
    "inspect": Home(
        "inspecting",
        "Show a model's parameters, memory and FLOPs by part, and what compression could save.",
    ),
    "doctor": Home(
        "local",
        "Show which energy meters this machine has, and how to enable the others.",
    ),
    "demo": Home(
        "service",
        "Run a complete example on this machine: train and compress a model, print its price tag.",
    ),
    "serve": Home(
        "service",
        "Run the server (REST API, queue, database); with --with-worker also workers.",
    ),
    "worker": Home("service", "Run a worker, which executes the runs of a pool and meters them."),
    "health": Home(
        "service_state",
        "Show the health of the server: database, disks, workers, queue. Administrators only.",
    ),
    "migrate": Home("service", "Upgrade the database to this version's schema."),
    "token": Home(
        "service",
        "Create, list and revoke API tokens on the server's machine, e.g. to get the first one.",
    ),
    "sign-in": Home(
        "service",
        "Print a one-time link that signs a browser in, on the server's machine.",
    ),
    "backup": Home(
        "service",
        "Back up the service: its database, artifacts and journals, in a new folder.",
    ),
    "restore": Home(
        "service",
        "Restore a backup into the data folder and database of the settings.",
    ),
    "artifacts": Home(
        "service",
        "Maintenance: check the artifact store, and remove what no paper or price tag refers to.",
    ),
    "balances": Home(
        "service",
        "Maintenance: check or rebuild the sums that budgets are read from.",
    ),
    "rollups": Home(
        "service",
        "Maintenance: check or rebuild the sums that the energy account is read from.",
    ),
    "headlines": Home(
        "service",
        "Maintenance: after an upgrade, complete the figures that lists show of older price tags.",
    ),
    "readings": Home(
        "service",
        "Maintenance: pack the readings of ended runs, which saves space, and check them.",
    ),
}
"""Tested against the commands themselves."""

ADDED = {"budget": "outlook"}
"""Modules that add commands to a group of another module."""
