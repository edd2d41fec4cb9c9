"""Takes every registered stage kind and every task through its life and records the results.

One process imports what training needs and forks each job, as a worker's nursery does; two
ranks are two forks. Run as ``python -m tests.support.kind_walk FOLDER``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from app.services.quoting.likeness import steps as quoted_steps
from pricetag.recipes import REGISTRY, FromScratch, RecipeEntry, parse_recipe
from pricetag.recipes.plan import misfit
from pricetag.recipes.shapes import described_shape
from tests.support.recording import RecordingReporter
from tests.support.tasks import TASKS, task_files, task_recipe
from tests.support.training import CONFIG, TRAIN, counted_once, data_set, job, recipe
from workers.job import environment
from workers.job.nursery_process import TRAINING_MODULES
from workers.job.pipeline import run
from workers.job.reporter import Job, SilentReporter, StageHandle

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

DATA_ROOT: list[Path] = []

PATIENCE_S = 90.0
"""Far more than any of these jobs takes: what takes longer waits forever."""

LAST_QUESTION = 6
"""One question whether to stop comes before the stage, then one per step: five steps are done."""

MODULES = (
    *TRAINING_MODULES,
    "tests.support.rank_notes",
    "torch.distributed.algorithms.ddp_comm_hooks.default_hooks",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.models.distilbert.modeling_distilbert",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.mobilebert.modeling_mobilebert",
    "workers.training.preparation",
)
"""What jobs import: here once for all of them."""

SHALLOW = {**CONFIG, "num_hidden_layers": 2}

SMALL: dict[str, Any] = {
    "batch_size": 8,
    "min_seconds": 0.05,
    "checkpoint_after_s": 0,
    "checkpoint_every_s": 0,
    "precision": "fp32",
    "seed": 3,
}

WITHOUT_CHECKPOINTS: dict[str, Any] = {"checkpoint_after_s": 3600, "checkpoint_every_s": 3600}
"""A stage that is not killed ends at the weights of one that saves its state at each step."""


class CarriedOut(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operations that PyTorch carries out, by the formulas of its ``FlopCounterMode``.

    That also follows the modules, which takes longer than the training itself.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self._whole: set[Any] = set()  # operators that are not made of others

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in self._whole:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            self._whole.add(func)
        out = func(*args, **kwargs)
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.operations += formula(*args, **kwargs, out_val=out)
        return out


class Recorder(RecordingReporter):
    """Records to a file; a doomed one kills its own process in the middle of the work.

    One with a counter records the operations that PyTorch carried out in each stage.
    """

    def __init__(
        self, place: Path, *, dies_at: str | None = None, counter: CarriedOut | None = None
    ) -> None:
        super().__init__()
        self.place = place
        self.dies_at = dies_at
        self.counter = counter
        self.questions = 0

    @contextmanager
    def stage(self, kind: str, name: str, recipe_index: int | None = None) -> Iterator[StageHandle]:
        with super().stage(kind, name, recipe_index) as handle:
            if self.dies_at == "edge":
                self.die()
            before = self.counter.operations if self.counter else 0
            yield handle
            if self.counter:
                self._event("carried_out", operations=self.counter.operations - before)

    def stop_requested(self) -> str | None:
        self.questions += 1
        if self.dies_at == "step" and self.questions == LAST_QUESTION:
            self.die()
        return None

    def write(self) -> None:
        self.place.write_text(json.dumps(self.events, default=str))

    def die(self) -> None:
        self.write()
        os.kill(os.getpid(), signal.SIGKILL)


def carry_out(
    root: Path,
    described: dict[str, Any],
    attempt: int,
    ranks: int = 1,
    dies_at: str | None = None,
    *,
    counted: bool = False,
) -> dict[str, Any]:
    """One attempt in its own processes: exit codes, the events of rank 0, notes of several."""
    root.mkdir(parents=True, exist_ok=True)
    place = root / f"events-{attempt}.json"
    notes = [root / f"notes-{attempt}-{rank}.json" for rank in range(ranks) if ranks > 1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            if ranks > 1:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                os.environ |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            recorder = Recorder(place, dies_at=dies_at, counter=CarriedOut() if counted else None)
            own = notes[rank] if notes else None
            _be_the_job(root, described, attempt, recorder if rank == 0 else None, own)
        pids.append(pid)
    codes = _wait(pids)
    events = json.loads(place.read_text()) if place.exists() else []
    decided = [json.loads(note.read_text()) for note in notes if note.exists()]
    return {"codes": codes, "events": events, "decided": decided}


def _be_the_job(
    root: Path,
    described: dict[str, Any],
    attempt: int,
    recorder: Recorder | None,
    notes: Path | None,
) -> None:
    from tests.support.rank_notes import noting  # loads transformers, after quiet.settle

    code = 1
    try:
        one = job(
            DATA_ROOT[0],
            described,
            attempt,
            work_dir=root / "work",
            artifacts_dir=root / "artifacts" / str(attempt),
            allow_commands=True,
        )
        notebook: AbstractContextManager[list[Any]] = nullcontext([])
        if notes is not None:
            notebook = noting()
        with notebook as decided:
            _run(one, recorder)
        if notes is not None:
            notes.write_text(json.dumps(decided))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(one: Job, recorder: Recorder | None) -> None:
    """Run a job; without a recorder silently, as a rank that does not report."""
    if recorder is None:
        run(one, SilentReporter())
        return
    counter = recorder.counter
    try:
        with nullcontext() if counter is None else counter:
            run(one, recorder)
    finally:
        recorder.write()


def _wait(pids: list[int]) -> list[int | None]:
    """Exit codes; as under torchrun, a rank that dies takes the others along. None: endless."""
    codes: dict[int, int | None] = {}
    deadline = time.monotonic() + PATIENCE_S
    while len(codes) < len(pids):
        for pid in pids:
            if pid not in codes and (ended := os.waitpid(pid, os.WNOHANG)) != (0, 0):
                codes[pid] = os.waitstatus_to_exitcode(ended[1])
        late = time.monotonic() > deadline
        if late or any(code != 0 for code in codes.values()):
            for pid in set(pids) - set(codes):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                codes[pid] = None if late else -int(signal.SIGKILL)
        time.sleep(0.02)
    return [codes[pid] for pid in pids]


def small(entry: RecipeEntry[Any], **changes: Any) -> dict[str, Any]:
    """The kind's own example, with as little work as it allows."""
    fields = entry.params.model_fields
    wanted = {**SMALL, **changes}
    options = {**entry.example, **{k: v for k, v in wanted.items() if k in fields}}
    if "max_steps" in fields:
        options = {k: v for k, v in options.items() if k != "epochs"} | {"max_steps": 8}
    return options


def described_run(entry: RecipeEntry[Any], **changes: Any) -> dict[str, Any]:
    """A run of one stage of the kind, on a model that it may start from."""
    if entry.traits.runs_program:
        return {"stages": [small(entry)]}
    task = walked_task(entry)
    if task is not None:
        trained = {} if entry.traits.starts_from_scratch else {"model": base_name(task)}
        return task_recipe(task, small(entry, **changes), **trained)
    model = {"config": shape_for(entry)} if entry.traits.starts_from_scratch else "base"
    return recipe(small(entry, **changes), model=model)


def shape_for(entry: RecipeEntry[Any]) -> dict[str, Any]:
    """The shallowest network that the kind takes."""
    stages = [entry.params.model_validate(small(entry))]
    shallow = FromScratch.model_validate({"config": SHALLOW})
    return SHALLOW if misfit(described_shape(shallow), stages) is None else CONFIG


def walked_task(entry: RecipeEntry[Any]) -> str | None:
    """The task on which a kind is tried; None for classification."""
    if "classification" in entry.traits.tasks:
        return None
    return next(task for task in TASKS if task in entry.traits.tasks)


def walk(entry: RecipeEntry[Any], root: Path, ranks: int) -> dict[str, Any]:
    """The life of one kind: done whole; killed and resumed; published, reloaded, measured."""
    described = described_run(entry)
    folder = root / f"{entry.kind}-{ranks}"
    undisturbed = described_run(entry, **WITHOUT_CHECKPOINTS)
    whole = carry_out(folder / "whole", undisturbed, 1, ranks, counted=ranks == 1)
    life: dict[str, Any] = {"whole": whole}
    if ranks == 1 or entry.traits.all_ranks:
        dies_at = "step" if entry.traits.trains else "edge"
        life["killed"] = carry_out(folder / "halves", described, 1, ranks, dies_at)
        life["resumed"] = carry_out(folder / "halves", described, 2, ranks)
        life["same_weights"] = _same_weights(folder / "whole", folder / "halves")
    if entry.traits.makes_model and ranks == 1:
        task = walked_task(entry)
        whose = recipe if task is None else partial(task_recipe, task)
        trained = [small(REGISTRY["train"], evaluate=False)] if entry.traits.headless else []
        life["reloaded"] = _reload(folder, whole["events"], root, whose, *trained)
    if ranks == 1:
        life["repeated"] = carry_out(folder / "halves", described, 3)
        stored = parse_recipe(described).model_dump(mode="json")
        life["work"] = [
            [step.work.epochs, step.work.examples, step.work.seconds]
            for step in quoted_steps(stored, 0)
        ]
    return life


def walk_task(task: str, root: Path) -> dict[str, Any]:
    """The life of a training on two ranks for one task: as that of a kind."""
    described = partial(task_recipe, task)
    train, base = REGISTRY["train"], base_name(task)
    undisturbed = described(small(train, **WITHOUT_CHECKPOINTS), model=base)
    trained = described(small(train), model=base)
    folder = root / f"task-{task}"
    life = {"whole": carry_out(folder / "whole", undisturbed, 1, 2)}
    life["killed"] = carry_out(folder / "halves", trained, 1, 2, "step")
    life["resumed"] = carry_out(folder / "halves", trained, 2, 2)
    return {
        **life,
        "same_weights": _same_weights(folder / "whole", folder / "halves"),
        "reloaded": _reload(folder, life["whole"]["events"], root, described),
    }


def base_name(task: str) -> str:
    """Name of the folder with the model that a task's runs start from."""
    return f"base-{task}"


def make_base(root: Path, described: dict[str, Any], name: str) -> PreTrainedConfig:
    """Train a model to start from; returns its configuration."""
    from transformers import AutoConfig

    start = carry_out(root / f"start-{name}", described, 1)
    assert start["codes"] == [0], start
    (root / f"start-{name}" / "work" / "stage-00" / "model").rename(root / name)
    return cast("PreTrainedConfig", AutoConfig.from_pretrained(root / name))


def _same_weights(one: Path, other: Path) -> bool:
    files = [root / "work" / "stage-00" / "model" / "model.safetensors" for root in (one, other)]
    if not any(file.exists() for file in files):
        return True
    return all(file.exists() for file in files) and len({f.read_bytes() for f in files}) == 1


def _reload(
    folder: Path,
    events: list[dict[str, Any]],
    root: Path,
    described: Callable[..., dict[str, Any]],
    *trained: dict[str, Any],
) -> dict[str, Any] | None:
    """A new run that evaluates and measures what was published; first, it may be trained."""
    places = [Path(event["path"]) for event in events if event["type"] == "artifact"]
    if not places:
        return None
    name = f"published-{folder.name}"
    shutil.copytree(places[0].parent, root / name)
    stages = (
        *trained,
        {"kind": "evaluate"},
        {"kind": "measure", "min_seconds": 0.05, "batch_size": 2},
    )
    return carry_out(folder / "reloaded", described(*stages, model=name), 1)


def _warm_up() -> None:
    """Does once, before any job is forked, what each of them needs: imports, tables, versions."""
    for name in MODULES:
        importlib.import_module(name)
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    from workers.training.formats import registry
    from workers.training.metrics import agreement
    from workers.training.tasks.registry import task_named

    get_checkpoint_conversion_mapping("bert")  # type: ignore[no-untyped-call]
    environment.report(parse_recipe(recipe()), SilentReporter())
    registry.all_formats()
    for task in ("classification", *TASKS):
        task_named(task)
    agreement([0, 1], [0, 1], ["a", "b"])  # scikit-learn looks for libraries of tables once
    gc.collect()
    gc.freeze()


def main(root: Path) -> None:
    _warm_up()
    from workers.training.model.heads import CLASSIFIER
    from workers.training.tasks.registry import task_named

    DATA_ROOT.append(data_set(root, train=96, dev=24, test=16))
    begin = {**TRAIN, "evaluate": False}
    with counted_once(root / "counts") as count:
        count(make_base(root, recipe(begin, model={"config": SHALLOW}), "base"), CLASSIFIER)
        for task in TASKS:
            task_files(root, task)
            described = task_recipe(task, {**begin, "max_steps": 1})
            config = make_base(root, described, base_name(task))
            count(config, task_named(task).head)
        for entry in REGISTRY.values():
            for ranks in (1, 2):
                if ranks == 2 and entry.traits.runs_program:
                    continue
                life = walk(entry, root, ranks)
                (root / f"{entry.kind}-{ranks}.json").write_text(json.dumps(life))
        for task in TASKS:
            (root / f"task-{task}.json").write_text(json.dumps(walk_task(task, root)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
