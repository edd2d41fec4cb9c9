"""Run a researcher's own program, metered. Imports nothing heavy: it starts at once."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.command import Command
from workers.job.context import StageContext, StageResult
from workers.job.program_run import bring_code, run_program


def prepare(params: StageParams, context: StageContext) -> None:
    """Copy the program's code, which is not charged to a stage, and report its hash."""
    assert isinstance(params, Command)
    bring_code(params, context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Run ``argv`` in the run's work folder, or beside its code, and log its output lines.

    The program inherits the event pipe (``PRICETAG_EVENTS``), so that ``pricetag.log`` and
    ``pricetag.stage`` in it report to this run. It stays in the worker's process group and
    dies with its parent.

    Raises:
        JobError: ``command-not-allowed``, ``command-not-found``, ``command-failed`` (with the
            exit status and the last lines), ``disk-full`` (likewise, where the program says so
            or the worker has no room), ``command-timeout``.
        Interrupted: A stop was requested; the program was given 10 s to end.

    Source: Henderson et al. 2020, JMLR 21(248).
    """
    assert isinstance(params, Command)
    return StageResult(facts={"exit_status": run_program(params, context)})
