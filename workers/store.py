"""The worker's access to the database: each call is one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from app.artifact_store.stores import Content, ObjectStore
from app.db import Database
from app.services.attempts import collecting, execution, releasing, storing
from app.services.energy import baselines
from app.services.energy import node_hours as energy
from app.services.factors import sites
from app.services.live import live_power
from app.services.queueing import waiting
from app.services.queueing.waiting import Offer
from pricetag.metering.baselines import Baseline
from workers.node.hours import Row
from workers.node.identity import NodeConfig, node_place

logger = logging.getLogger(__name__)

DEFAULT_SITE = "default"
"""Site of workers without PRICETAG_SITE; it need not have been created."""

UNKNOWN_SITE = (
    "site %r does not exist, so runs of this worker are priced by the factors of the lab: correct "
    "PRICETAG_SITE, or create the site with: pricetag site create %s"
)
LOOK_TIMEOUT_S = 5.0
"""Maximum duration of a budget check, in s; leases are renewed once a second."""


class Store:
    """A worker's database operations.

    Args:
        database: Engine and sessions of this process.
        config: This node.
    """

    def __init__(self, database: Database, config: NodeConfig) -> None:
        self._database = database
        self._config = config
        self._budgets = execution.BudgetWatch()
        self._place: str | None = None  # as registered; None before that
        self._site_exists = True  # as far as was logged

    async def demand(self, run_id: UUID) -> execution.Demand | None:
        """Requirements of a queued run on its worker; None when it must not start now."""
        async with self._database.session_scope() as session:
            return await execution.demand(session, run_id)

    async def requeue(self, run_id: UUID) -> bool:
        """Adds a run to its queue; returns whether it is still queued."""
        async with self._database.session_scope() as session:
            return await execution.requeue(session, run_id)

    async def claim(
        self, run_id: UUID, devices: Sequence[dict[str, Any]]
    ) -> execution.Claim | None:
        async with self._database.session_scope() as session:
            return await execution.claim(
                session,
                run_id,
                worker=self._config.worker,
                node_name=self._config.name,
                devices=list(devices),
                site=self._config.site,
                lease_s=self._config.lease_s,
            )

    async def ingest(self, attempt_id: UUID, records: list[dict[str, Any]]) -> int:
        async with self._database.session_scope() as session:
            return await execution.ingest(session, attempt_id, records)

    async def renew(self, attempt_ids: list[UUID]) -> Mapping[UUID, execution.LeaseState]:
        """Renews leases, marks this node as alive, and checks the budgets."""
        async with self._database.session_scope() as session:
            await execution.touch_node(session, self._config.name)
            states = await execution.renew_leases(session, attempt_ids)
        stops = await self._stops(attempt_ids)
        return {key: replace(state, stop=stops.get(key)) for key, state in states.items()}

    async def _stops(self, attempt_ids: list[UUID]) -> Mapping[UUID, execution.StopOrder]:
        """Attempts that must stop for a budget; leases are renewed without waiting for this."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S), self._database.session_scope() as session:
                return await self._budgets.look(session, attempt_ids)
        except Exception as error:  # the leases are renewed; the next check is in a second
            logger.warning("budgets were not checked (%s: %s)", type(error).__name__, error)
            return {}

    async def register(
        self,
        devices: Sequence[dict[str, Any]],
        capabilities: dict[str, Any],
        offer: Offer | None = None,
    ) -> bool:
        """Register this node; returns whether its name was used elsewhere since the last call.

        "Elsewhere" is another machine or data folder: two nodes would be booked as one.

        Args:
            devices: Devices of this worker.
            capabilities: What the node can meter.
            offer: Runs that this worker can take; None if it takes no more.
        """
        config, place = self._config, node_place(self._config.data_dir)
        async with self._database.session_scope() as session:
            before = await execution.register_node(
                session, config.name, config.pool, list(devices), capabilities, place
            )
            await waiting.announce(session, config.worker, config.name, offer)
            site_exists = config.site == DEFAULT_SITE or await sites.exists(session, config.site)
        if self._site_exists and not site_exists:
            logger.warning(UNKNOWN_SITE, config.site, config.site)
        self._site_exists = site_exists
        is_doubled = self._place is not None and before != place
        self._place = place
        return is_doubled

    async def open_attempts(self) -> list[execution.OpenAttempt]:
        """Attempts of this node that have no end yet."""
        async with self._database.session_scope() as session:
            return await execution.open_attempts(session, self._config.name)

    async def ingested(self, attempt_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Number of the last record that the database has of each of these attempts."""
        async with self._database.session_scope() as session:
            return await execution.ingested(session, attempt_ids)

    async def close_lost(self, attempt_id: UUID, message: str = "its worker died") -> None:
        """Books an attempt that has no journal and will never have one."""
        async with self._database.session_scope() as session:
            await execution.close_lost(session, attempt_id, message=message)

    async def book_node_hours(self, rows: Sequence[Row]) -> None:
        """Store this node's own totals."""
        site = self._config.site
        async with self._database.session_scope() as session:
            await energy.book_node_hours(
                session,
                self._config.name,
                [
                    energy.NodeHour(
                        component=row.component,
                        name=row.name,
                        kind=row.kind,
                        method=row.method,
                        gain_std_ratio=row.gain_std_ratio,
                        hour=row.hour,
                        energy_j=row.energy_j,
                        covered_s=row.covered_s,
                        flags=row.flags,
                        site=site,
                    )
                    for row in rows
                ],
            )

    async def waiting_artifacts(self, after: UUID | None) -> list[storing.WaitingArtifact]:
        """Artifacts of this node that are not in the artifact store."""
        async with self._database.session_scope() as session:
            return await storing.waiting(session, self._config.name, after)

    async def note_stored(self, artifact: storing.WaitingArtifact, store: ObjectStore) -> bool:
        """Notes that an artifact is in the store; returns whether it was noted."""
        async with self._database.session_scope() as session:
            return await storing.note_stored(session, artifact, store)

    async def note_not_stored(self, artifact: storing.WaitingArtifact, reason: str) -> None:
        """Notes why an artifact stays in its folder."""
        async with self._database.session_scope() as session:
            await storing.note_not_stored(session, artifact, reason)

    async def stored_sizes(self, hashes: Sequence[str]) -> dict[str, int]:
        """Sizes of those contents that are in the artifact store, by hash."""
        async with self._database.session_scope() as session:
            return await storing.stored_sizes(session, hashes)

    async def unneeded_states(self, *, with_store: bool) -> list[releasing.StateFile]:
        """Files of states of trainings that ended studies have left in this node's folder.

        Args:
            with_store: Whether to include those in the artifact store.
        """
        async with self._database.session_scope() as session:
            return await releasing.unneeded(session, self._config.name, with_store=with_store)

    async def release_states(
        self,
        files: Sequence[releasing.StateFile],
        delete: Callable[[releasing.StateFile], bool],
    ) -> list[releasing.StateFile]:
        """Deletes those of some states that are still unneeded, and notes it."""
        async with self._database.session_scope() as session:
            return await releasing.release(session, self._config.name, files, delete)

    async def remove_objects(self, store: ObjectStore, contents: Sequence[Content]) -> None:
        """Removes those of some objects of the artifact store that no artifact has any more."""
        await collecting.remove_unreferenced(self._database, store, contents)

    async def show_power(self, message: str) -> None:
        """Sends live power to every server; nothing is stored."""
        async with self._database.session_scope() as session:
            await live_power.send(session, message)

    async def record_baselines(self, measured: Sequence[Baseline]) -> None:
        """Store the idle power of this node's components."""
        async with self._database.session_scope() as session:
            await baselines.record(
                session,
                self._config.name,
                [
                    baselines.IdlePower(
                        component=item.component,
                        state=item.state,
                        power_w=item.power_w,
                        power_std_w=item.power_std_w,
                        duration_s=item.duration_s,
                        source=item.source,
                        measured_at=item.measured_at,
                    )
                    for item in measured
                ],
            )
