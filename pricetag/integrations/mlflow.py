"""Price tags beside the metrics of MLflow.

``mlflow.start_run`` in a metered run (``pricetag run``, ``pricetag.track``, a job of a worker) adds
the tag ``pricetag.run_id``, and ``pricetag.url`` where the server is known; nothing has to be
called, since MLflow finds this module by its entry point.

The price tag itself is known when a run has ended::

    from pricetag.integrations.mlflow import start_run

    with start_run(run_name="fine-tuning"):  # as mlflow.start_run, metered
        ...

or, for a block that was metered by ``pricetag.track``::

    log_price_tag(run.price_tag, mlflow_run_id)
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from pricetag import streams
from pricetag.configuration import ConfigurationError
from pricetag.events import ENV_VAR, RUN_VAR
from pricetag.integrations.stages import is_number
from pricetag.local.runs import RESULT
from pricetag.local.settings import local_folder
from pricetag.local.tracking import Track, track
from pricetag.tag.model_card import NO_PRICE_TAG
from pricetag.tag.view import TagView

FIGURES = ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg")
"""Totals of a price tag that become metrics, each with its interval."""

ARTIFACT = "price_tag.json"
PREFIX = "pricetag"
METER_STARTS_WITHIN_S = 5.0
ASKED_EVERY_S = 0.05


class PricetagRunContext:
    """Tags of MLflow's runs with the metered run that they are in.

    MLflow creates it by the entry point ``mlflow.run_context_provider``.
    """

    def in_context(self) -> bool:
        """Whether this process is metered."""
        return bool(os.environ.get(ENV_VAR))

    def tags(self) -> dict[str, str]:
        """ID of the metered run, and its page."""
        run_id = os.environ.get(RUN_VAR)
        address = os.environ.get("PRICETAG_URL") if run_id else None
        run_id = run_id or _local_run_id(os.environ[ENV_VAR])
        tags = {f"{PREFIX}.run_id": run_id, f"{PREFIX}.url": address and f"{address}/runs/{run_id}"}
        return {name: value for name, value in tags.items() if value}


def _local_run_id(socket: str) -> str | None:
    """ID of the local run whose meter listens on a socket; None if it is not a local run.

    A program starts before its meter, whose journal is waited for.
    """
    deadline_s = time.monotonic() + METER_STARTS_WITHIN_S
    with suppress(OSError, ConfigurationError):
        local = local_folder()
        while True:
            running = [folder for folder in local.iterdir() if not (folder / RESULT).exists()]
            for folder in running:
                if _socket_of(folder) == socket:
                    return folder.name
            if time.monotonic() > deadline_s:
                return None
            time.sleep(ASKED_EVERY_S)
    return None


def _socket_of(folder: Path) -> str | None:
    """The socket that the journal of a run states."""
    try:
        with next(folder.glob("*.jsonl")).open(encoding="utf-8") as lines:
            socket = json.loads(next(lines)).get("socket")
    except (OSError, ValueError, StopIteration):
        return None
    return None if socket is None else str(socket)


@contextmanager
def start_run(
    *,
    project: str | None = None,
    experiment: str = "local",
    tags: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[Any]:
    """A run of MLflow that is metered, and gets its price tag at its end.

    In a run that is metered already, it is a stage of that run and gets no price tag of its own.

    Args:
        project: Project of the local run.
        experiment: Experiment of the local run.
        tags: Tags of the local run.
        options: Those of ``mlflow.start_run``.

    Yields:
        What ``mlflow.start_run`` returns.
    """
    mlflow: Any = import_module("mlflow")
    metered: Track = track(
        options.get("run_name"), project=project, experiment=experiment, tags=tags
    )
    with mlflow.start_run(**options) as active:
        try:
            with metered:
                yield active
        finally:  # a run that has failed has its price tag, too
            if metered.price_tag is not None:
                _log_safely(metered.price_tag, active.info.run_id)


def _log_safely(price_tag: Mapping[str, Any], run_id: str) -> None:
    """Hours of work must not end because MLflow's server is away."""
    try:
        log_price_tag(price_tag, run_id)
    except Exception as error:  # MLflow and its stores raise exceptions of many kinds
        streams.write(sys.stderr, f"pricetag: the price tag is not in MLflow: {error}\n")


def log_price_tag(
    price_tag: Mapping[str, Any] | None, run_id: str | None = None, *, client: Any = None
) -> None:
    """Logs a price tag to a run of MLflow: metrics, parameters, and the whole as an artifact.

    Metrics are ``pricetag/it_energy_kwh`` and so on, with ``_low`` and ``_high`` of the 95%
    interval. Parameters have the evidence of each figure, or the reason why it is unknown, and
    the hardware. An unknown figure is not logged.

    Args:
        price_tag: The price tag. None, which a block without a price tag has, logs nothing: a line
            on standard error states why.
        run_id: ID of MLflow's run. Default: the active run.
        client: An ``MlflowClient``. Default: one of the tracking server in use.

    Raises:
        ValueError: If no run is named, and none is active.
    """
    if price_tag is None:
        streams.write(sys.stderr, f"pricetag: nothing is logged to MLflow: {NO_PRICE_TAG}\n")
        return
    mlflow: Any = import_module("mlflow")
    client = client or mlflow.MlflowClient()
    if run_id is None:
        active = mlflow.active_run()
        if active is None:
            raise ValueError("MLflow has no active run: pass run_id")
        run_id = active.info.run_id
    entities: Any = import_module("mlflow.entities")
    now_ms = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[
            entities.Metric(f"{PREFIX}/{name}", value, now_ms, 0)
            for name, value in metrics_of(price_tag).items()
        ],
        params=[
            entities.Param(f"{PREFIX}.{name}", text) for name, text in params_of(price_tag).items()
        ],
        tags=[entities.RunTag(f"{PREFIX}.run_id", str(price_tag["run_id"]))],
    )
    client.log_dict(run_id, dict(price_tag), f"{PREFIX}/{ARTIFACT}")


def metrics_of(price_tag: Mapping[str, Any]) -> dict[str, float]:
    """The known totals of a price tag, each with its interval; units are in the names."""
    values = {
        f"{name}{end}": figure.get(part)
        for name, figure in _figures(price_tag).items()
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    return {name: value for name, value in values.items() if value is not None and is_number(value)}


def params_of(price_tag: Mapping[str, Any]) -> dict[str, str]:
    """The evidence of each total or why it is unknown, the hardware, the hash of the price tag."""
    texts = {}
    for name, figure in _figures(price_tag).items():
        if figure.get("value") is None:
            texts[f"{name}.reason"] = str(figure.get("reason") or "unknown")
        elif figure.get("source"):
            texts[f"{name}.source"] = str(figure["source"])
    described = {
        "hardware": TagView.read(price_tag).hardware,
        "sha256": price_tag.get("content_sha256"),
    }
    return texts | {name: str(text) for name, text in described.items() if text is not None}


def _figures(price_tag: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    figures = {name: price_tag.get(name) or {} for name in FIGURES}
    cost = price_tag.get("cost") or {}
    total = cost.get("total") or {}
    currency = str(cost.get("currency") or "").lower()
    return figures | {f"cost_{currency}" if currency else "cost": total}
