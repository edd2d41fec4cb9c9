"""The tables, one noun a file."""

from models.attempt import Artifact, Attempt, Stage
from models.base import Base
from models.bill import PriceTag, Report
from models.node import Node
from models.project import Experiment, Project
from models.run import Run, RunEvent
from models.series import LogLine, Measurement, Metric, Reading
from models.token import IdempotencyKey, Token

__all__ = [
    "Artifact",
    "Attempt",
    "Base",
    "Experiment",
    "IdempotencyKey",
    "LogLine",
    "Measurement",
    "Metric",
    "Node",
    "PriceTag",
    "Project",
    "Reading",
    "Report",
    "Run",
    "RunEvent",
    "Stage",
    "Token",
]
