"""Running the trials, one after another, over REST on their own service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from benchmarks.methods.catalog import BASE, TEACHER, Catalog, Entry
from benchmarks.methods.conditions import conditions_of
from benchmarks.methods.figures import Link, figures_of
from benchmarks.methods.inputs import INPUTS
from benchmarks.methods.plan import Budget, Trial, budget_on, described_run, fingerprint
from benchmarks.methods.prove import Proof, proved
from benchmarks.methods.state import Record, State
from pricetag.accounting.document.records import PriceTag
from pricetag.client import Client
from pricetag.client.runs import FINAL
from pricetag.tag.figures import duration_text
from pricetag.wire import ApiError, Run, ServerUnreachable
from tests.support.service import Service, service

SERVICE = "service"
LOOK_S = 0.5
MOST_KILLS = 4
"""Runs of a method whose stage was over each time before it could be killed."""


class RunFailedError(Exception):
    """A run did not succeed; the message is the reason."""


EXPECTED = (RunFailedError, ApiError, ServerUnreachable)


@contextmanager
def running_service(state: State) -> Iterator[tuple[Client, Service]]:
    """Server and database on the state folder, which keeps them for the next time."""
    folder = state.folder / SERVICE
    folder.mkdir(parents=True, exist_ok=True)
    with service(folder, data_roots=str(state.folder / INPUTS)) as running:
        secret = running.http.headers["Authorization"].removeprefix("Bearer ")
        with Client(str(running.http.base_url), secret) as client:
            yield client, running


@dataclass(frozen=True)
class Workers:
    """The one worker of a service, started again should it have ended.

    Attributes:
        service: The service.
        threads: Threads of the arithmetic.
    """

    service: Service
    threads: int

    def ensure(self) -> None:
        """Start the worker unless it runs."""
        if not any(worker.poll() is None for worker in self.service.workers):
            threads = {"OMP_NUM_THREADS": str(self.threads)}
            self.service.start_worker("--gpus", "none", environment=threads)


@dataclass
class Executor:
    """Runs trials and keeps their records.

    Attributes:
        client: The benchmark's service.
        catalog: All entries.
        budget: What the runs have in common.
        inputs: Hash of the inputs of each data set.
        state: Where records are kept.
        retry: Whether runs that failed are tried again.
        proof: Kills and reloads each run; None for undisturbed runs.
        seed_limit_s: Runs of further seeds are skipped if the first took longer, s.
        run_limit_s: A run that takes longer is canceled, s.
        ensure_worker: Starts a worker unless one runs.
    """

    client: Client
    catalog: Catalog
    budget: Budget
    inputs: Mapping[str, str]
    state: State
    retry: bool = False
    seed_limit_s: float | None = None
    run_limit_s: float = 1800.0
    ensure_worker: Callable[[], None] = lambda: None
    proof: Proof | None = None
    durations: list[float] = field(default_factory=list)

    def run(self, trials: Sequence[Trial]) -> list[Record]:
        """Run what is missing; returns the records of all trials that have one."""
        fingerprints = {trial: self._fingerprint(trial) for trial in trials}
        records = self.state.newest(fingerprints)
        todo = [trial for trial in trials if self._is_due(records.get(trial))]
        print(f"{len(trials)} runs, {len(trials) - len(todo)} done or failed before", flush=True)
        for number, trial in enumerate(todo, 1):
            reason = self._skipped(trial, records)
            if reason is not None:
                print(f"[{number}/{len(todo)}] {trial}: skipped, {reason}", flush=True)
                continue
            record = self._record(trial, fingerprints[trial], records)
            self.state.keep(record)
            records[trial] = record
            print(self._line(record, number, len(todo)), flush=True)
        return list(records.values())

    def _fingerprint(self, trial: Trial) -> str:
        return fingerprint(self.catalog, self.budget, trial, self.inputs[trial.data])

    def _is_due(self, record: Record | None) -> bool:
        if record is None or not self.retry:
            return record is None
        return record.status == "failed" or (self.proof is not None and not proved(record)[0])

    def _skipped(self, trial: Trial, records: Mapping[Trial, Record]) -> str | None:
        entry = self.catalog.runs[trial.name]
        if entry.start != BASE:
            upstream = records.get(Trial(trial.seed, trial.data, entry.start))
            if upstream is None or upstream.status != "succeeded":
                return f"{entry.start} has no model"
        first = records.get(Trial(0, trial.data, trial.name))
        if (
            trial.seed == 0
            or self.seed_limit_s is None
            or first is None
            or first.duration_s is None
        ):
            return None
        is_needed = any(e.start == entry.name for e in self.catalog.runs.values())
        if first.duration_s > self.seed_limit_s and not is_needed:
            return f"the first seed took {first.duration_s:.0f} s"
        return None

    def _record(self, trial: Trial, mark: str, records: Mapping[Trial, Record]) -> Record:
        """Run a trial; whatever goes wrong is recorded and never stops the other runs."""
        begun_s = time.monotonic()
        method = self.catalog.runs[trial.name].method
        run_id, run = None, None
        try:
            self.ensure_worker()
            for again in range(MOST_KILLS if self.proof else 1):
                run_id = self._submit(trial, mark, records, again)
                killed = self.proof and self.proof.kill_once(run_id, method, run)
                run = self._wait(run_id)
                if killed or run["status"] != "succeeded":
                    break
            assert run_id is not None
            assert run is not None
            if run["status"] != "succeeded":
                raise RunFailedError(_reason(run))
            duration_s = time.monotonic() - begun_s
            chain, teacher = self._tags(trial, run_id, records)
            figures = figures_of(chain, teacher, trial.data)
            seen = self._seen(run) | ({"killed": killed} if killed else {})
            if self.proof is not None and "score" in figures:
                seen["reloaded"] = self.proof.reloaded_scores(run, str(seen["model_stage"]))
        except Exception as error:  # a fault of one run or of its figures is in its record
            text = str(error) if isinstance(error, EXPECTED) else repr(error)
            return Record(trial, mark, "failed", run_id, error=text)
        done = Record(trial, mark, "succeeded", run_id, duration_s, figures, seen=seen)
        return replace(done, conditions=conditions_of(chain[-1].tag))

    def read_again(self, records: Mapping[Trial, Record]) -> None:
        """Keep the figures and conditions of runs again, from their price tags.

        For records of a version of the benchmark that kept less.
        """
        for trial, record in records.items():
            if record.status != "succeeded" or "sentences" in record.conditions:
                continue
            chain, teacher = self._tags(trial, str(record.run_id), records)
            figures = figures_of(chain, teacher, trial.data)
            conditions = conditions_of(chain[-1].tag)
            self.state.keep(replace(record, figures=figures, conditions=conditions))

    def _wait(self, run_id: str) -> Run:
        """The run at its end.

        Raises:
            RunFailedError: It took too long, and was canceled.
        """
        deadline_s = time.monotonic() + self.run_limit_s
        while (run := self.client.get_run(run_id))["status"] not in FINAL:
            if time.monotonic() > deadline_s:
                self.client.cancel_run(run_id)
                raise RunFailedError(f"canceled after {self.run_limit_s:.0f} s")
            time.sleep(LOOK_S)
        return run

    def _submit(self, trial: Trial, mark: str, records: Mapping[Trial, Record], again: int) -> str:
        """Post the run; one that was begun before the benchmark was interrupted continues."""
        entry = self.catalog.runs[trial.name]
        upstream = None
        if entry.start != BASE:
            source = records[Trial(trial.seed, trial.data, entry.start)]
            upstream = {"run": str(source.run_id), "stage": str(source.seen["model_stage"])}
        budget = budget_on(self.catalog, self.budget, trial.data)
        described = described_run(entry, budget, trial, upstream)
        tries = self.state.tries(trial, mark)
        key = f"{trial.name}-{trial.data}-{trial.seed}-{mark}-{tries}" + (f"-{again}" * (again > 0))
        return str(self.client.create_run(described, idempotency_key=key)["id"])

    def _tags(
        self, trial: Trial, run_id: str, records: Mapping[Trial, Record]
    ) -> tuple[list[Link], PriceTag | None]:
        """The price tags of the run's chain, and of the teacher to compare with."""
        links = []
        for entry in self.catalog.chain(trial.name):
            source = records.get(Trial(trial.seed, trial.data, entry.name))
            whose = run_id if entry.name == trial.name else str(source and source.run_id)
            links.append(Link(entry, self.client.price_tag_document(whose)))
        teacher = records.get(Trial(trial.seed, trial.data, TEACHER))
        if teacher is None or teacher.status != "succeeded":
            return links, None
        return links, self.client.price_tag_document(str(teacher.run_id))

    def _seen(self, run: Run) -> dict[str, object]:
        """What belongs to a run beside its figures: verification, report, published model."""
        run_id = run["id"]
        verified = self.client.verify_price_tag(run_id)
        report = self.client.create_report(run["name"], runs=[run_id])
        attempts = run["attempts"]
        return {
            "verification": verified["outcome"],
            "attempts": len(attempts),
            "report_bytes": len(self.client.render_report(report["id"], "md")),
            "model_stage": _model_stage(self.client.price_tag_document(run_id)),
        }

    def _line(self, record: Record, number: int, total: int) -> str:
        """``[3/58] prune-snip-50 (sst2, seed 0): 84.2 in 31 s; 28 min left``."""
        text = f"[{number}/{total}] {record.trial}: "
        if record.status == "failed":
            return f"{text}FAILED: {record.error}"
        self.durations.append(record.duration_s or 0.0)
        left_s = fmean(self.durations) * (total - number)
        score = record.figures.get("score")
        shown = "" if score is None or score.value is None else f"{100 * score.value:.1f}, "
        return f"{text}{shown}{record.duration_s:.0f} s; about {duration_text(left_s)} left"


def _model_stage(tag: PriceTag) -> str | None:
    """Name of the last stage that made a model; None if the run only measures one."""
    from pricetag.recipes import REGISTRY

    made = [s for s in tag.stages if s.parent is None and REGISTRY[s.kind].traits.makes_model]
    return made[-1].name if made else None


def _reason(run: Run) -> str:
    reason = run.get("status_reason") or {}
    return f"{run['status']}: {reason.get('code')}: {reason.get('message')}"


def entries_for(catalog: Catalog, only: Sequence[str] | None) -> list[Entry]:
    """The entries to run: all, or those named with what they need, the teacher included.

    Raises:
        ValueError: A name is unknown.
    """
    if not only:
        return catalog.with_upstream([TEACHER, *catalog.runs])
    unknown = sorted(set(only) - set(catalog.runs))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; names: {', '.join(catalog.runs)}")
    return catalog.with_upstream([TEACHER, *only])


def default_state() -> Path:
    return Path(".pricetag") / "methods"
