"""Reports of a script under ``command``: none of them may end the script."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pricetag import script as track
from pricetag.attempt.event_server import Connection, EventServer
from pricetag.events import ENV_VAR


async def told_by(script: str, *, with_keys: bool = False) -> tuple[list[dict[str, Any]], str]:
    """The events that a metered script sends, and what it writes to its standard error."""
    heard: list[dict[str, Any]] = []

    async def handle(_: Connection, message: dict[str, Any]) -> dict[str, Any]:
        heard.append(message)
        return {"key": str(len(heard))} if with_keys else {}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.sock"
        server = EventServer(path, handle)
        await server.start()
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", "import pricetag\n" + script],
            env={**os.environ, ENV_VAR: str(path)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
        )
        await server.drain(5)
        await server.close()
    assert ended.returncode == 0, ended.stderr
    return heard, ended.stderr


async def test_a_diverging_loss_is_stored_as_null_and_logged_once() -> None:
    heard, log = await told_by(
        "for step, loss in enumerate((0.5, float('nan'), float('inf'), 10**400)):\n"
        "    pricetag.log(loss=loss, step=step)\n"
        "pricetag.log(accuracy=float('nan'), split='validation', quality=True)\n"
    )
    values = [(event["name"], event["value"], event["step"]) for event in heard]
    assert values[:4] == [("loss", 0.5, 0), *(("loss", None, step) for step in (1, 2, 3))]
    assert values[4] == ("accuracy", None, None)
    assert log.splitlines() == [
        "pricetag: loss is nan at step 1: kept as null (reported once per name)",
        "pricetag: accuracy is nan: kept as null (reported once per name)",
    ]


async def test_values_that_are_not_numbers_are_dropped_and_the_others_are_kept() -> None:
    heard, log = await told_by(
        "import numpy\n"
        "for _ in range(2):\n"
        "    pricetag.log(model='best', ok=True, scores=numpy.ones(2), "
        "accuracy=numpy.float32(0.5))\n"
        "pricetag.log(accuracy=1, step=numpy.int64(7))\n"
        "pricetag.log(accuracy=1, step=0.5)\n"
    )
    assert [(event["name"], event["value"], event["step"]) for event in heard] == [
        ("accuracy", 0.5, None),
        ("accuracy", 0.5, None),
        ("accuracy", 1.0, 7),
        ("accuracy", 1.0, None),
    ]
    lines = log.splitlines()
    assert [line.split()[1].partition("=")[0] for line in lines] == [
        "model",
        "ok",
        "scores",
        "step",
    ]
    assert "model='best' is not a number: dropped" in lines[0]


async def test_progress_without_a_known_total_is_accepted() -> None:
    heard, log = await told_by(
        "pricetag.progress(1, float('inf'))\npricetag.progress(float('nan'), 3)\n"
    )
    assert [(event["done"], event["total"]) for event in heard] == [(1.0, None)]
    assert log.count("progress of nan is not a finite number") == 1


async def test_operations_are_sent_unchanged_and_invalid_ones_are_dropped() -> None:
    heard, log = await told_by(
        "import numpy\n"
        "pricetag.flops(numpy.float32(2e12), effective=1e12, method='6ND')\n"
        "pricetag.flops(5, effective=float('nan'), low_bit=-1)\n"
        "pricetag.flops('many')\n"
    )
    sent = [{k: v for k, v in event.items() if k not in ("n", "type", "key")} for event in heard]
    assert [event["type"] for event in heard] == ["flops", "flops"]
    assert sent[0] == {
        "dense": pytest.approx(2e12),
        "effective": 1e12,
        "low_bit": None,
        "method": "6ND",
        "uncounted": [],
    }
    assert (sent[1]["dense"], sent[1]["effective"], sent[1]["low_bit"]) == (5.0, None, None)
    assert sent[1]["method"] == "told by the script"
    assert log.splitlines() == [
        "pricetag: flops: effective=nan is not a count: dropped (reported once per name)",
        "pricetag: flops: low_bit=-1 is not a count: dropped (reported once per name)",
        "pricetag: flops: dense='many' is not a count: dropped (reported once per name)",
    ]


ODD_ARGUMENTS = """
import enum, pathlib, fractions, numpy as np
class Split(enum.Enum):
    VALIDATION = "validation"
class Text(str, enum.Enum):
    TEST = "test"
class Named:
    def __str__(self):
        return "named"
class Hostile:
    def __str__(self):
        raise RuntimeError("no text")
    __repr__ = __bool__ = __index__ = __float__ = __str__
odd = [
    Split.VALIDATION, Text.TEST, Named(), Hostile(), pathlib.Path("v"), b"b\\xff", 1, 2.5, None,
    True, np.int64(3), np.str_("s"), np.float32(0.5), np.bool_(True), np.ones(2), ("a", "b"),
    object(), float("nan"), 10**5000, "x" * 5000, "\\ud83d", "", "a\\x00b",
]
for value in odd:
    pricetag.log(accuracy=0.5, split=value)
    pricetag.log(accuracy=0.5, step=value)
    pricetag.log(accuracy=0.5, quality=value)
    pricetag.log(accuracy=value)
    pricetag.progress(1, 2, unit=value)
    pricetag.progress(value, value)
    pricetag.flops(1, effective=value, method=value)
    with pricetag.stage(value, kind=value):
        pass
pricetag.log(last=1)
"""


async def test_no_argument_ends_a_script() -> None:
    heard, _ = await told_by(ODD_ARGUMENTS)
    accuracies = [event for event in heard if event.get("name") == "accuracy"]
    splits = [event["split"] for event in accuracies if event["split"]]
    assert splits[:9] == ["validation", "test", "named", "v", "b\ufffd", "1", "2.5", "True", "3"]
    assert sum(event["value"] == 0.5 for event in accuracies) >= 3 * 23
    assert heard[-1]["name"] == "last"


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ("3_000_000_000", 3_000_000_000),
        ("2**53 + 1", 2**53 + 1),
        ("2**63 - 1", 2**63 - 1),
        ("-5", -5),
        ("numpy.int64(7)", 7),
        ("numpy.float64(8.0)", 8),
        ("2**63", None),
        ("2**70", None),
        ("10**400", None),
        ("float('nan')", None),
        ("2.5", None),
        ("True", None),
        ("'7'", None),
    ],
)
async def test_a_figure_is_kept_with_any_step_that_can_be_stored(step: str, kept: int) -> None:
    heard, log = await told_by(f"import numpy\npricetag.log(acc=0.9, step={step})\n" * 2)
    assert [(event["value"], event["step"]) for event in heard] == [(0.9, kept)] * 2
    assert log.count("is not a whole number") == (kept is None)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [("numpy.float32(1) > 0.5", True), ("1", True), ("0", False), ("numpy.ones(2)", False)],
)
async def test_quality_follows_the_truth_value(quality: str, expected: bool) -> None:
    heard, _ = await told_by(f"import numpy\npricetag.log(acc=0.9, quality={quality})\n")
    assert [event["quality"] for event in heard] == [expected]


async def test_a_script_continues_when_nobody_listens() -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = (
            "import pricetag\n"
            "with pricetag.stage('epoch'):\n    pricetag.log(loss=1)\n"
            "pricetag.progress(1)\nprint('end')\n"
        )
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script],
            env={**os.environ, ENV_VAR: f"{folder}/absent.sock"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (ended.returncode, ended.stdout) == (0, "end\n")
    assert ended.stderr.count("pricetag:") == 1


async def test_an_array_of_one_element_is_its_element() -> None:
    heard, log = await told_by(
        "import numpy\n"
        "pricetag.log(a=numpy.array([0.5]), b=numpy.array([[3]]), c=numpy.ones(2),\n"
        "    step=numpy.array([7]))\n"
    )
    assert [(e["name"], e["value"], e["step"]) for e in heard] == [("a", 0.5, 7), ("b", 3.0, 7)]
    assert log.count("is not a number: dropped") == 1


class OpenChannel:
    stop_reason = None


def test_a_stage_in_a_generator_that_is_closed_early_has_not_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[str] = []

    def edge(_: object, type_: str, **fields: Any) -> str:
        if type_ == "stage_end":
            ends.append(fields["status"])
        return "0"

    channel = OpenChannel()
    monkeypatch.setattr(track, "_current", lambda: channel)
    monkeypatch.setattr(track, "_edge", edge)

    def batches() -> Generator[int, None, None]:
        with track.stage("batches"):
            yield from range(10)

    batch = batches()
    next(batch)
    batch.close()
    failing = batches()
    next(failing)
    with pytest.raises(ZeroDivisionError):
        failing.throw(ZeroDivisionError())
    assert ends == ["succeeded", "failed"]


UNUSED = (
    "pricetag: stage('load') was called and never entered, so nothing is metered: write "
    "`with pricetag.stage('load'):` (reported once per name)"
)
LEFT_OPEN = (
    "pricetag: stage 'load' was entered and never left: what followed is charged to it; write "
    "`with pricetag.stage('load'):`"
)


@pytest.mark.parametrize(
    ("script", "said", "edges"),
    [
        ("pricetag.stage('load')", [UNUSED], []),
        ("for _ in range(3):\n    pricetag.stage('load')", [UNUSED], []),
        ("kept = pricetag.stage('load')\ndel kept", [UNUSED], []),
        ("kept = pricetag.stage('load')\nkept.__enter__()", [LEFT_OPEN], ["stage_start"]),
        ("pricetag.stage('load').__enter__()", [LEFT_OPEN], ["stage_start"]),
        (
            "from contextlib import ExitStack\nstack = ExitStack()\n"
            "stack.enter_context(pricetag.stage('load'))",
            [LEFT_OPEN],
            ["stage_start"],
        ),
        (
            "pricetag.stage('load').__exit__(None, None, None)",
            [
                "pricetag: stage 'load' was left without being entered (reported once per name)",
                UNUSED,
            ],
            [],
        ),
        ("with pricetag.stage('load'):\n    pass", [], ["stage_start", "stage_end"]),
        (
            "load = pricetag.stage('load')\nfor _ in range(2):\n    with load:\n        pass",
            [],
            ["stage_start", "stage_end"] * 2,
        ),
        (
            "@pricetag.stage('load')\ndef load(depth):\n    return depth and load(depth - 1)\n"
            "load(1)",
            [],
            ["stage_start", "stage_start", "stage_end", "stage_end"],
        ),
    ],
)
async def test_a_stage_without_with_is_reported(
    script: str, said: list[str], edges: list[str]
) -> None:
    events, lines = await stages_of_script(script)
    assert lines == said
    assert events == edges


async def stages_of_script(script: str) -> tuple[list[str], list[str]]:
    """The stage edges that a script sends, each with a key, and the lines that it writes."""
    events, output = await told_by(script, with_keys=True)
    return [event["type"] for event in events], output.splitlines()


def test_a_stage_without_with_is_also_reported_outside_a_run() -> None:
    script = "import pricetag\npricetag.stage('load')\npricetag.stage('load').__enter__()"
    environment = {name: value for name, value in os.environ.items() if name != ENV_VAR}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ended.stderr.splitlines()
    assert (lines[0], lines[-1]) == (UNUSED, LEFT_OPEN)
