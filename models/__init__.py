"""The database tables, one file per noun."""

from models.attempt import Artifact, Attempt, RejectedRecord, Stage
from models.balance import (
    Reserve,
    ReserveBalance,
    RunCount,
    SpendBalance,
    SpendRepeat,
    WorkBalance,
)
from models.base import Base
from models.budget import AuditEntry, Budget, BudgetAlert, Quote, Spend
from models.chart import Chart
from models.codecarbon import CodecarbonRecord, CodecarbonRun
from models.energy import Baseline, EnergyHour
from models.energy_rollup import (
    EnergyPending,
    EnergyRollupDay,
    EnergyRollupHour,
    EnergyRollupMonth,
    EnergySeries,
)
from models.factor import CarbonHour, CarbonSeries, Factor, Price, Site
from models.forecast import CarbonForecast, GreenStart
from models.issued import PriceTag, Report, ReportProject, RunFigure
from models.journal import JournalChunk, SentJournal
from models.node import Node, WorkerProcess
from models.outcome import Outcome
from models.papers import Paper, PaperRun
from models.project import Experiment, Project, ProjectMember
from models.quote_score import QuoteScore
from models.reading_block import ReadingBlock
from models.run import Run, RunEvent, RunLabel
from models.saved_view import SavedView
from models.series import LogLine, Measurement, Metric, Reading
from models.share import Share
from models.study import Study, StudyRun, StudyTrial
from models.token import IdempotencyKey, Token
from models.upstream import RunUpstream
from models.user import User
from models.web_session import SignIn, WebSession

__all__ = [
    "Artifact",
    "Attempt",
    "AuditEntry",
    "Base",
    "Baseline",
    "Budget",
    "BudgetAlert",
    "CarbonForecast",
    "CarbonHour",
    "CarbonSeries",
    "Chart",
    "CodecarbonRecord",
    "CodecarbonRun",
    "EnergyHour",
    "EnergyPending",
    "EnergyRollupDay",
    "EnergyRollupHour",
    "EnergyRollupMonth",
    "EnergySeries",
    "Experiment",
    "Factor",
    "GreenStart",
    "IdempotencyKey",
    "JournalChunk",
    "LogLine",
    "Measurement",
    "Metric",
    "Node",
    "Outcome",
    "Paper",
    "PaperRun",
    "Price",
    "PriceTag",
    "Project",
    "ProjectMember",
    "Quote",
    "QuoteScore",
    "Reading",
    "ReadingBlock",
    "RejectedRecord",
    "Report",
    "ReportProject",
    "Reserve",
    "ReserveBalance",
    "Run",
    "RunCount",
    "RunEvent",
    "RunFigure",
    "RunLabel",
    "RunUpstream",
    "SavedView",
    "SentJournal",
    "Share",
    "SignIn",
    "Site",
    "Spend",
    "SpendBalance",
    "SpendRepeat",
    "Stage",
    "Study",
    "StudyRun",
    "StudyTrial",
    "Token",
    "User",
    "WebSession",
    "WorkBalance",
    "WorkerProcess",
]
