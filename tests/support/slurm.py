"""Journals of the nodes of Slurm jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.support.local_runs import AT, records


def on_node(
    node: str,
    *,
    restart: int,
    nodes: int,
    begin_s: float,
    status: str = "succeeded",
    **evidence: Any,
) -> list[dict[str, Any]]:
    """The journal of one node of a job, of ten seconds.

    Args:
        node: Name of the node.
        restart: How often the job was requeued.
        nodes: Number of nodes of the job.
        begin_s: When its meter began, after that of the first journal.
        status: How its program ended.
        **evidence: What it states of the node.
    """
    scheduler = {
        "name": "slurm",
        "restart": restart,
        "node": node,
        "nodes": nodes,
        "is_whole_node": True,
        "other_jobs": [],
    }
    listed = records()
    start = listed[0]
    start["attempt_id"] = str(uuid5(NAMESPACE_URL, f"{node}/{restart}"))
    start["node_name"] = node
    start["run"] |= {"origin": "slurm", "tags": ["slurm-job:9"]}
    environment = {"type": "environment", "t_s": 0.0, "scheduler": scheduler | evidence}
    listed.insert(1, environment)
    listed[-1]["status"] = status
    at = (datetime.fromisoformat(AT) + timedelta(seconds=begin_s)).isoformat()
    return [{**record, "at": at} for record in listed]
