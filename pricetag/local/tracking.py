"""``pricetag.track``: meters a block of a script in a process of its own, without a server.

Since hours of work must not end because of their meter, nothing here raises because of it: a block
that cannot be metered runs unmetered, and a line on standard error says why.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, overload

from pricetag import script, streams
from pricetag.configuration import ConfigurationError
from pricetag.events import ENV_VAR, LOCAL_VAR
from pricetag.local.listener import Listener
from pricetag.local.request import Request
from pricetag.local.settings import settings_of_program

Called = TypeVar("Called", bound=Callable[..., Any])

ANSWER_TIMEOUT_S = 60.0
"""Maximum wait for the price tag at the end of a block, in s; settling continues without it."""

_starting = threading.Lock()


def _after_fork() -> None:
    """Resets a forked child, in which the lock may never be released."""
    global _starting
    _starting = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class Track:
    """A metered block; made by ``track``, used in ``with`` or as a decorator.

    Attributes:
        run_id: ID of the local run, for ``pricetag show``; None if the block is not a run of its
            own.
        price_tag: The price tag, once the block has ended. None before, and if the block is a stage
            of another run, was not metered, or its meter died or has no price tag yet.
    """

    def __init__(self, request: Request, *, quiet: bool) -> None:
        self._request = request
        self._quiet = quiet
        self._meter: subprocess.Popen[bytes] | None = None
        self._stage: script.Stage | None = None
        self._pid = os.getpid()
        self.run_id: str | None = None
        self.price_tag: dict[str, Any] | None = None

    def __enter__(self) -> Track:
        """Begins to meter."""
        self._pid = os.getpid()
        if not script.is_first_rank(os.environ):
            return self
        with _starting:  # of two threads, one starts the meter
            if not is_metered():
                try:
                    self._start()
                except (OSError, ConfigurationError) as error:
                    _say(f"the block {self._request.name!r} is not metered: {error}")
                return self
        self._stage = script.stage(self._request.name, kind="track")
        self._stage.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the block and prints its price tag."""
        if self._pid != os.getpid():  # a forked child that leaves the block does not end it
            return
        if self._stage is not None:
            stage, self._stage = self._stage, None
            stage.__exit__(kind, error, traceback)
        if self._meter is not None:
            meter, self._meter = self._meter, None
            self._finish(meter, _end(error))

    def __call__(self, function: Called) -> Called:
        """As a decorator: each call of the function is its own run."""
        decorated: Called = _decorated(function, self._request, quiet=self._quiet)
        return decorated

    def _start(self) -> None:
        zero_s = time.monotonic()
        settings = settings_of_program(dict(os.environ))
        settings.folder.mkdir(parents=True, exist_ok=True)
        for problem in settings.unused:
            _say(problem)
        if settings.push_problem is not None:
            _say(f"{self._request.name!r} will not be pushed: {settings.push_problem}")
        listener = Listener.new()
        number = listener.listening.fileno()
        try:
            meter = subprocess.Popen(
                [sys.executable, "-m", "pricetag.local.tracked"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[number],
                start_new_session=True,  # Ctrl-C is for the program
                env=_meters_environment(),
            )
        except OSError:
            listener.close()
            raise
        listener.listening.close()
        self._meter = meter
        self.run_id = self._request.run_id
        os.environ[ENV_VAR] = str(listener.path)
        os.environ[LOCAL_VAR] = "1"
        script.reconnect()
        _send(
            meter,
            {
                "request": self._request.as_dict(),
                "pid": os.getpid(),
                "zero_s": zero_s,
                "socket": str(listener.path),
                "listening": number,
                "environment": _environment(),
            },
        )

    def _finish(self, meter: subprocess.Popen[bytes], end: Mapping[str, Any]) -> None:
        script.reconnect()
        os.environ.pop(ENV_VAR, None)
        os.environ.pop(LOCAL_VAR, None)
        _send(meter, end)
        try:
            answered, _ = meter.communicate(timeout=ANSWER_TIMEOUT_S)
            answer = json.loads(answered)
        except subprocess.TimeoutExpired:
            answer = self._stored()  # it may be settled, and being pushed
            if answer is None:
                _say(f"the price tag is not ready yet; show it with: pricetag show {self.run_id}")
                return
        except ValueError:
            _say(
                "the meter's process ended before the block; what it had measured is in: "
                f"pricetag show {self.run_id}"
            )
            return
        if "problem" in answer:
            _say(f"there is no price tag of {self._request.name!r}: {answer['problem']}")
            return
        self.price_tag = answer["price_tag"]
        if not self._quiet:
            from pricetag.local.summary import summary_text

            streams.write(sys.stderr, summary_text(answer))

    def _stored(self) -> dict[str, Any] | None:
        """The settled run in the data folder."""
        from pricetag.local.runs import read_run

        run = read_run(settings_of_program(dict(os.environ)).folder / str(self.run_id))
        return None if run is None or run.price_tag is None else run.document


@overload
def track(name: Called) -> Called: ...


@overload
def track(
    name: str | None = None,
    *,
    project: str | None = None,
    experiment: str = "local",
    tags: Sequence[str] = (),
    second_opinion: bool = False,
    quiet: bool = False,
) -> Track: ...


def track(
    name: str | Callable[..., Any] | None = None,
    *,
    project: str | None = None,
    experiment: str = "local",
    tags: Sequence[str] = (),
    second_opinion: bool = False,
    quiet: bool = False,
) -> Any:
    """Meters a block without a server: ``with pricetag.track("fine-tuning"): ...``.

    The meter is a process of its own: NVML for the accelerators that the script may see, RAPL or a
    model for the host. The price tag is printed at the end of the block and kept in the data
    folder (``pricetag runs --local``). ``@pricetag.track`` meters each call of a function.

    Stages and figures that the block reports (``pricetag.stage``, ``pricetag.log``,
    ``pricetag.flops``) are on the price tag; figures outside its stages are those of the whole
    block. Inside a block or a run that is metered already, the block becomes one of its
    stages, and the price tag of its ``Track`` is None. If a script has several processes, only
    the first one is metered.

    Args:
        name: Name of the run; by default that of the script, or of the function.
        project: Project of the run.
        experiment: Experiment of the run.
        tags: Tags of the run.
        second_opinion: Whether CodeCarbon runs beside the meter.
        quiet: Whether to print nothing at the end.
    """
    if callable(name):
        return _decorated(name, Request(name.__qualname__, "block"), quiet=False)
    request = Request(
        name=script.run_name(name if name is not None else _script_name()),
        kind="block",
        project=project,
        experiment=experiment,
        tags=tuple(tags),
        second_opinion=second_opinion,
    )
    return Track(request, quiet=quiet)


def is_metered() -> bool:
    """Whether this process is in a run that is metered."""
    return bool(os.environ.get(ENV_VAR))


def _decorated(function: Called, request: Request, *, quiet: bool) -> Any:
    def again() -> Track:
        fields = request.as_dict() | {"run_id": None, "attempt_id": None}
        fields = {name: value for name, value in fields.items() if value is not None}
        return Track(Request.from_dict(fields), quiet=quiet)

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__qualname__} is a generator: use `with pricetag.track():` around its use"
        )
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def metered_task(*args: Any, **options: Any) -> Any:
            with again():
                return await function(*args, **options)

        return metered_task

    @functools.wraps(function)
    def metered(*args: Any, **options: Any) -> Any:
        with again():
            return function(*args, **options)

    return metered


def _script_name() -> str:
    """Name of the running script; ``notebook`` in one, where there is none."""
    if "ipykernel" in sys.modules:
        return "notebook"
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def _end(error: BaseException | None) -> dict[str, Any]:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return {"status": "succeeded", "reason": None}
    if isinstance(error, GeneratorExit):
        return {"status": "succeeded", "reason": None}
    if isinstance(error, KeyboardInterrupt):
        message = "the program was interrupted"
        return {"status": "cancelled", "reason": {"code": "cancelled", "message": message}}
    message = f"{type(error).__name__}: {error}"[:500]
    return {"status": "failed", "reason": {"code": "exception", "message": message}}


def _environment() -> dict[str, Any]:
    return {"python": sys.version.partition(" ")[0], "packages": _packages()}


def _packages() -> dict[str, str]:
    """Versions of the libraries that the script has imported and that state one."""
    names = ("torch", "transformers", "accelerate", "lightning", "tensorflow", "jax", "numpy")
    modules = {name: sys.modules.get(name) for name in names}
    versions = {name: getattr(module, "__version__", None) for name, module in modules.items()}
    return {name: str(version) for name, version in versions.items() if version is not None}


def _meters_environment() -> dict[str, str]:
    """The environment of the meter, which finds this library wherever the script found it."""
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _send(meter: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    if meter.stdin is None:
        return
    try:
        meter.stdin.write(json.dumps(message).encode() + b"\n")
        meter.stdin.flush()
    except OSError:  # the meter is gone; the end of the block says so
        return


def _say(text: str) -> None:
    streams.write(sys.stderr, f"pricetag: {text}\n")
