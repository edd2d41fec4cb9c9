"""Takes what clients of CodeCarbon send: stored at once, applied to runs a moment later.

A client waits two seconds for an answer and does not try again, so that nothing happens here but
what has to: the record is checked and written.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.attempts import codecarbon as rows
from app.repositories.people import projects
from app.services import access
from app.services.errors import ConflictError, InvalidError, NotFoundError
from app.services.principals import Principal
from models import CodecarbonRun
from pricetag.imports.codecarbon_client import NO_RUN, Kind, RecordError, Sent, read
from pricetag.one_line import one_line

DEFAULT_EXPERIMENT = "5b0fa12a-3dd7-45bb-9766-cc326314d9f1"
"""What clients send as ``experiment_id`` if none is set."""

EXPERIMENT = "codecarbon"
"""Experiment of runs for which only a project is named."""

SET = (
    "Set experiment_id in .codecarbon.config (or CODECARBON_EXPERIMENT_ID) to PROJECT or "
    "PROJECT/EXPERIMENT, or use a token that is limited to a project; `pricetag codecarbon` prints "
    "such a file."
)
ABOUT = (
    *("os", "python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count"),
    *("gpu_model", "region", "provider", "ram_total_size", "tracking_mode", "country_name"),
    *("country_iso_code", "cloud_provider", "cloud_region", "project_name", "experiment_id"),
    *("timestamp", "on_cloud"),
)
"""Fields of a client's description that are kept; coordinates and user names are not."""

CLOSE = timedelta(minutes=2)
"""A closing record comes within this time of the last difference of its client."""


class CodecarbonExperimentError(NotFoundError):
    """The experiment of a CodeCarbon client does not exist here."""

    code = "codecarbon-experiment"


class CodecarbonRunNotFoundError(NotFoundError):
    """The run of a record does not exist here, or is another user's."""

    code = "codecarbon-run-not-found"


class CodecarbonRecordError(InvalidError):
    """A record of a CodeCarbon client cannot be used."""

    code = "codecarbon-record"


class CodecarbonConflictError(ConflictError):
    """The ID of a run belongs to another run."""

    code = "codecarbon-conflict"


async def start(session: Session, principal: Principal, body: Mapping[str, Any]) -> UUID:
    """Notes a client that will send differences; its run begins with the first of them.

    The same request again, after its answer was lost, notes nothing new.

    Args:
        session: Committed by the caller.
        principal: Who sends it.
        body: The description.

    Raises:
        CodecarbonExperimentError: If the experiment is CodeCarbon's default, or unknown.
        NotAMemberError: If its project is a private one of others, or not that of the token.
    """
    project, experiment = await _place(session, principal, body.get("experiment_id"))
    stated = sorted((name, repr(value)) for name, value in body.items())
    run_id = uuid.uuid5(principal.user_id, f"codecarbon {stated}")
    await _note(session, principal, run_id, "delta", project, experiment, body)
    return run_id


async def take(session: Session, principal: Principal, body: Mapping[str, Any], text: str) -> UUID:
    """Stores a difference; the same one again changes nothing.

    Args:
        session: Committed by the caller.
        principal: Who sends it.
        body: The record.
        text: The record as received.

    Raises:
        CodecarbonRecordError: If it cannot be used.
        CodecarbonRunNotFoundError: If there is no such run of this user.
    """
    _check(body, "delta")
    run_id = _run_id(body)
    await _store(session, principal, run_id, "delta", "delta", text)
    return run_id


async def take_total(
    session: Session, principal: Principal, body: Mapping[str, Any], text: str
) -> UUID:
    """Stores the sum so far of a client; the same one again changes nothing.

    Args:
        session: Committed by the caller.
        principal: Who sends it.
        body: The record.
        text: The record as received.

    Raises:
        CodecarbonRecordError: If it cannot be used.
        CodecarbonRunNotFoundError: If it has no ID, and not exactly one client can have sent it.
        CodecarbonConflictError: If its ID belongs to another run.
        CodecarbonExperimentError, NotAMemberError: As :func:`start`.
    """
    if body.get("run_id") == NO_RUN:
        sent = _check(body, "closing")
        run_id = await _closed(session, principal, body, sent)
        await _store(session, principal, run_id, "delta", "closing", text)
        return run_id
    _check(body, "total")
    run_id = _run_id(body)
    client = await rows.get(session, run_id)
    if client is None:
        stated = body.get("experiment_id")
        if stated in (None, "", DEFAULT_EXPERIMENT) and principal.project_id is None:
            stated = body.get("project_name") or EXPERIMENT
        project, experiment = await _place(session, principal, stated)
        await _note(session, principal, run_id, "total", project, experiment, body)
    await _store(session, principal, run_id, "total", "total", text)
    return run_id


def _check(body: Mapping[str, Any], kind: Kind) -> Sent:
    try:
        return read(body, kind)
    except RecordError as error:
        raise CodecarbonRecordError(f"{error.field}: {error}", field=error.field) from error


def _run_id(body: Mapping[str, Any]) -> UUID:
    try:
        return UUID(str(body.get("run_id")))
    except ValueError as error:
        raise CodecarbonRecordError("run_id: must be a UUID", field="run_id") from error


async def _store(
    session: Session, principal: Principal, run_id: UUID, of_kind: str, kind: Kind, text: str
) -> None:
    is_new = await rows.store(
        session,
        run_id=run_id,
        of_kind=of_kind,
        kind=kind,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        body=text,
        user_id=principal.user_id,
        is_admin=principal.has("admin"),
        token_id=principal.token_id,
        is_limited=principal.project_id is not None,
    )
    if is_new:
        return
    client = await rows.get(session, run_id)
    if client is not None and client.kind != of_kind:
        raise CodecarbonConflictError(
            f"Run {run_id} gets its records in another way (as "
            f"{'differences' if client.kind == 'delta' else 'sums'}): use either output_methods=api"
            " or emissions_endpoint.",
            field="run_id",
        )
    is_own = client is not None and (principal.user_id == client.user_id or principal.has("admin"))
    is_same = principal.project_id is None or (client and client.token_id == principal.token_id)
    if not (is_own and is_same):
        raise CodecarbonRunNotFoundError(
            f"You have no CodeCarbon run {run_id} here: a client creates it with POST /runs, and "
            "sends its records with the same api_key.",
            field="run_id",
        )


async def _note(
    session: Session,
    principal: Principal,
    run_id: UUID,
    kind: str,
    project: str,
    experiment: str,
    body: Mapping[str, Any],
) -> None:
    if principal.token_id is None:  # a browser's session of a proxy
        raise CodecarbonRecordError("Send a token: CodeCarbon clients have an api_key.")
    client = CodecarbonRun(
        id=run_id,
        kind=kind,
        user_id=principal.user_id,
        token_id=principal.token_id,
        project=project,
        experiment=experiment,
        about={name: body[name] for name in ABOUT if body.get(name) is not None},
    )
    await rows.add(session, client)


async def _place(session: Session, principal: Principal, stated: Any) -> tuple[str, str]:
    """Project and experiment that an ``experiment_id`` names."""
    text = one_line(str(stated)).strip() if isinstance(stated, str) else ""
    if text in ("", DEFAULT_EXPERIMENT):
        own = await projects.name_of(session, principal.project_id)
        if own is None:
            what = "is missing" if not text else "is the default of CodeCarbon"
            raise CodecarbonExperimentError(f"The experiment_id {what}. {SET}")
        return own, EXPERIMENT
    project, experiment = await _named(session, principal, text)
    await access.require_project_to_post(session, principal, project)
    return project, experiment


async def _named(session: Session, principal: Principal, text: str) -> tuple[str, str]:
    try:
        some_id = UUID(text)
    except ValueError:
        is_project = await projects.by_name(session, text) is not None
        project, slash, experiment = text.rpartition("/")
        if is_project or not (slash and project.strip() and experiment.strip()):
            return text, EXPERIMENT
        return project.strip(), experiment.strip()
    names = await rows.names_of(session, some_id)
    if names is None or not await access.may_see_project(session, principal, names[0]):
        raise CodecarbonExperimentError(
            f"No experiment or project has the ID {some_id} (experiment_id). {SET}"
        )
    return names[0], names[1] or EXPERIMENT


async def _closed(
    session: Session, principal: Principal, body: Mapping[str, Any], sent: Sent
) -> UUID:
    """The client that has sent a sum without an ID: by user, version, processor and time."""
    now = datetime.now(UTC)
    began = now - timedelta(seconds=sent.duration_s)
    matches = [
        client.id
        for client, first, _ in await rows.senders_of(session, principal.user_id, now - CLOSE)
        if all(
            client.about.get(name) == body.get(name)
            for name in ("codecarbon_version", "cpu_model", "experiment_id")
            if client.about.get(name) is not None and body.get(name) is not None
        )
        and began - CLOSE <= first
        and (client.created_at >= began - CLOSE)
    ]
    if len(matches) != 1:
        raise CodecarbonRunNotFoundError(
            "This closing record has no run ID, as CodeCarbon sends it if it uses both "
            f"output_methods=api and emissions_endpoint, and {len(matches)} of your clients can "
            "have sent it. It is not stored; the differences of the API are.",
            field="run_id",
        )
    return matches[0]
