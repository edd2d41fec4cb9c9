"""Programs metered without a server, by the real command and its processes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pricetag.cli.local_runs import verify_local
from pricetag.cli.metered import FLAGS, VALUES, parse
from pricetag.local import begun
from pricetag.local.runs import METER_LOST, LocalRun
from tests.support.fake_nvml import FakeDevice, FakeTrace, build_fake_nvml, gpu_uuid
from tests.support.gpu_node import PRODUCT
from tests.support.local_runs import Bench, wait_for

STAGES = """
import sys, pricetag
with pricetag.stage("train"):
    sum(range(3_000_000))
    pricetag.log(accuracy=0.75, quality=True)
    pricetag.flops(1e9)
with pricetag.track("inner"):
    pass
pricetag.log(accuracy=0.5, split="test", quality=True)
print("to standard output")
sys.exit(7)
"""

TRACKED = """
import sys, pricetag

@pricetag.track
def train(n):
    pricetag.log(f1=0.25, quality=True)
    pricetag.flops(n)
    return sum(range(n))

assert train(1000) == 499500
with pricetag.track("outer", project="reviews", tags=["night"]) as outer:
    with pricetag.stage("load"):
        pass
    with pricetag.track("inner") as inner:
        pass
assert inner.run_id is None
print(outer.run_id, outer.price_tag["run_id"])
try:
    with pricetag.track("broken", quiet=True):
        raise ValueError("no data")
except ValueError:
    print("raised")
"""

WAITING = """
import os, pathlib, time
with {block}:
    pathlib.Path("{folder}/begun").write_text(str(os.getpid()))
    while not pathlib.Path("{folder}/go").exists():
        time.sleep(0.02)
print("the program continued")
"""

ON_A_FULL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # the journal gets no longer
os.execv(sys.executable, [sys.executable, "-m", "pricetag", "run", "--quiet", "--", *{command}])
"""

FLOOD = "import pricetag\nfor n in range(1000): pricetag.log(loss=1.0, step=n)"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def only(bench: Bench) -> LocalRun:
    (run,) = bench.runs.all()
    return run


def test_a_program_keeps_its_output_and_exit_code_and_gets_a_price_tag(bench: Bench) -> None:
    program = bench.command("run", "--name", "mine", "--tag=a", "--", bench_python(), "-c", STAGES)
    out, err = program.communicate()
    assert (program.returncode, out) == (7, "to standard output\n")
    assert "pricetag: mine (failed)" in err
    run = only(bench)
    assert (run.run["name"], run.run["tags"]) == ("mine", ["a"])
    assert run.run["status_reason"]["code"] == "program-failed"
    tag = run.price_tag
    assert tag is not None
    assert [(stage["key"], stage["name"], stage["kind"]) for stage in tag["stages"]] == [
        ("0", "mine", "command"),
        ("0.0", "train", "stage"),
        ("0.1", "inner", "track"),
    ]
    assert scores(run) == [("0", "accuracy", 0.5), ("0.0", "accuracy", 0.75)]
    assert tag["flops"]["dense"]["value"] == 1e9
    whole, train, _ = (stage["it_energy_kwh"] for stage in tag["stages"])
    assert tag["it_energy_kwh"]["value"] == whole["value"] > train["value"] > 0
    assert verify_local(run)["outcome"] == "verified"


def scores(run: LocalRun) -> list[tuple[str, str, float]]:
    assert run.price_tag is not None
    return [(q["stage"], q["metric"], q["value"]) for q in run.price_tag["quality"]]


def bench_python() -> str:
    import sys

    return sys.executable


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">/dev/full 2>/dev/full"])
def test_closed_and_full_streams_change_no_exit_code(bench: Bench, streams: str) -> None:
    """As a daemon has them; the argument is a file name that is not UTF-8, as files may have."""
    command = f"'{bench_python()}' -m pricetag run -- sh -c 'exit 5' $'\\xff' {streams}"
    shell = subprocess.run(["bash", "-c", command], env=bench.environ, check=False)
    assert shell.returncode == 5
    run = only(bench)
    assert run.run["command"][-1] == r"\xff"
    assert verify_local(run)["outcome"] == "verified"


@pytest.mark.parametrize("name", ["TERM", "USR1"])
def test_signals_reach_the_program_and_its_death_is_passed_on(bench: Bench, name: str) -> None:
    """USR1 has a handler, after which the program ends by itself; TERM ends it."""
    text = f"trap 'exit 5' USR1; echo $$ > {bench.folder}/begun; while :; do sleep 0.05; done"
    program = bench.command("run", "--quiet", "sh", "-c", text)
    wait_for(lambda: bench.journaled("environment"))
    wait_for((bench.folder / "begun").exists)
    program.send_signal(signal.Signals[f"SIG{name}"])
    program.communicate()
    assert program.returncode == (5 if name == "USR1" else -signal.SIGTERM)
    assert only(bench).run["status"] == ("failed" if name == "USR1" else "cancelled")


def test_a_killed_meter_leaves_the_program_alone_and_loses_nothing(bench: Bench) -> None:
    text = WAITING.format(block="open(os.devnull)", folder=bench.folder)
    program = bench.command("run", "--", bench_python(), "-c", text)
    wait_for(lambda: len(bench.journaled("reading")) > 2)
    wait_for((bench.folder / "begun").exists)
    program.kill()
    program.wait()
    last_s = bench.journaled("reading")[-1]["t_s"]
    assert bench.runs.settle() == []
    run = only(bench)
    assert (run.run["status"], run.run["status_reason"]) == ("failed", METER_LOST)
    assert run.price_tag is not None
    assert run.price_tag["duration_s"]["value"] == last_s
    assert verify_local(run)["outcome"] == "verified"
    (bench.folder / "go").touch()
    assert program.communicate()[0] == "the program continued\n"


def test_a_program_that_ended_well_has_succeeded_though_its_journal_was_full(
    bench: Bench,
) -> None:
    program = bench.script(ON_A_FULL_DISK.format(command=[bench_python(), "-c", FLOOD]))
    _, err = program.communicate()
    assert program.returncode == 0
    assert "there is no price tag of this program: JournalFullError" in err
    assert bench.runs.settle() == []
    run = only(bench)
    assert (run.run["status"], run.run["status_reason"]["code"]) == ("succeeded", "meter-failed")
    assert "disk full" in run.run["status_reason"]["message"]
    assert verify_local(run)["outcome"] == "verified"


def test_a_killed_program_s_block_is_settled_by_its_meter(bench: Bench) -> None:
    text = "import pricetag\n" + WAITING.format(block="pricetag.track('x')", folder=bench.folder)
    program = bench.script(text)
    wait_for(lambda: bench.journaled("environment"))
    wait_for((bench.folder / "begun").exists)
    program.kill()
    program.communicate()
    wait_for(lambda: list(bench.runs.folder.glob("*/run.json")))
    run = only(bench)
    assert run.run["status_reason"]["code"] == "program-ended"
    assert verify_local(run)["outcome"] == "verified"


def test_a_block_whose_meter_is_killed_continues_and_is_settled_later(bench: Bench) -> None:
    text = "import pricetag\n" + WAITING.format(block="pricetag.track('x')", folder=bench.folder)
    program = bench.script(text)
    wait_for(lambda: bench.journaled("environment"))
    wait_for((bench.folder / "begun").exists)
    (meter,) = children(program.pid)
    os.kill(meter, signal.SIGKILL)
    (bench.folder / "go").touch()
    out, err = program.communicate()
    assert (program.returncode, out) == (0, "the program continued\n")
    assert "the meter's process ended before the block" in err
    assert bench.runs.settle() == []
    assert only(bench).run["status_reason"] == METER_LOST


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_blocks_and_functions_of_a_script_are_runs_and_inner_blocks_their_stages(
    bench: Bench,
) -> None:
    program = bench.script(TRACKED)
    out, err = program.communicate()
    assert program.returncode == 0, err
    ids, raised = out.splitlines()
    outer_id, tag_id = ids.split()
    assert (outer_id, raised) == (tag_id, "raised")
    runs = {run.run["name"]: run for run in bench.runs.all()}
    assert set(runs) == {"train", "outer", "broken"}
    assert runs["broken"].run["status_reason"]["message"] == "ValueError: no data"
    assert (runs["outer"].run["project"], runs["outer"].run["tags"]) == ("reviews", ["night"])
    assert runs["outer"].price_tag is not None
    names = [stage["name"] for stage in runs["outer"].price_tag["stages"]]
    assert names == ["outer", "load", "inner"]
    # What is reported outside stages is the run's.
    assert scores(runs["train"]) == [("0", "f1", 0.25)]
    assert runs["train"].price_tag is not None
    assert runs["train"].price_tag["flops"]["dense"]["value"] == 1000
    assert verify_local(runs["train"])["outcome"] == "verified"
    assert "pricetag: broken" not in err
    assert "pricetag: outer (succeeded)" in err


def test_accelerators_that_the_program_may_see_are_metered_by_their_counters(
    bench: Bench,
) -> None:
    devices = [FakeDevice(gpu_uuid(n), base_w=100.0 * n, name=PRODUCT) for n in (1, 2, 3)]
    bench.environ |= build_fake_nvml(bench.folder, FakeTrace(devices))
    bench.environ["CUDA_VISIBLE_DEVICES"] = "0,2"
    program = bench.command("run", "--quiet", "--", "sleep", "2")
    _, err = program.communicate()
    assert (program.returncode, err) == (0, "")
    run = only(bench)
    assert run.price_tag is not None
    gpus = [part for part in run.price_tag["components"] if part["kind"] == "gpu"]
    assert [part["it_energy_kwh"]["source"] for part in gpus] == ["counter", "counter"]
    assert [part["power_w"]["value"] for part in gpus] == pytest.approx([100.0, 300.0], rel=0.02)
    assert run.price_tag["device_count"] == 2
    assert verify_local(run)["outcome"] == "verified"


def test_a_program_runs_though_its_run_can_be_neither_kept_nor_pushed(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    bench.environ |= {"PRICETAG_DATA_DIR": str(tmp_path / "file"), "PRICETAG_PUSH": "maybe"}
    program = bench.command("run", "--", "sh", "-c", "echo ran; exit 7")
    out, err = program.communicate()
    assert (program.returncode, out) == (7, "ran\n")
    assert "the program runs, but is not metered: its files cannot be written" in err
    assert "the run will not be pushed: PRICETAG_PUSH is 'maybe'; use on or off" in err


@pytest.mark.parametrize("kind", ["program", "block"])
def test_an_invalid_setting_costs_no_measurement(bench: Bench, kind: str) -> None:
    bench.environ |= {"PRICETAG_PUE": "0.5", "PRICETAG_METER_HOST": "magic"}
    text = "import os; print(os.environ['PRICETAG_METER_HOST'])"
    if kind == "program":
        program = bench.command("run", "--", bench_python(), "-c", text)
    else:
        program = bench.script(f"import pricetag\nwith pricetag.track('x'):\n    {text}")
    out, err = program.communicate()
    assert (program.returncode, out) == (0, "magic\n")  # the program's environment is its own
    assert "PRICETAG_PUE: must be from 1 to 10 (is '0.5'); not used" in err
    run = only(bench)
    assert run.price_tag is not None
    assert run.price_tag["it_energy_kwh"]["value"] > 0
    assert run.price_tag["provenance"]["factors"]["pue"]["source"] == "assumed"
    (pue, host) = [log["text"] for log in bench.journaled("log")][:2]
    assert "PRICETAG_PUE" in pue or "PRICETAG_PUE" in host
    assert verify_local(run)["outcome"] == "verified"


def test_a_meter_that_is_killed_at_once_leaves_a_run(bench: Bench) -> None:
    program = bench.command("run", "--name", "short", "--", "true")
    wait_for(lambda: list(bench.runs.folder.glob(f"*/{begun.NAME}")) or program.poll() is not None)
    program.kill()
    program.communicate()
    assert bench.runs.settle() == []
    run = only(bench)
    assert run.run["name"] == "short"
    assert run.run["status"] in ("failed", "succeeded")  # where the kill came too late
    assert verify_local(run)["outcome"] == "verified"


@pytest.mark.parametrize(
    ("arguments", "command", "options"),
    [
        (["--", "a", "--name", "b"], ["a", "--name", "b"], {"tags": []}),
        (["a", "-c", "x"], ["a", "-c", "x"], {"tags": []}),
        (
            ["--name=n", "--tag", "x", "--tag=y", "--quiet", "--", "a"],
            ["a"],
            {"name": "n", "tags": ["x", "y"], "quiet": True},
        ),
    ],
)
def test_usual_arguments_are_parsed_at_once(
    arguments: list[str], command: list[str], options: dict[str, object]
) -> None:
    assert parse(arguments) == (command, options)


@pytest.mark.parametrize("arguments", [[], ["--"], ["--help"], ["--name"], ["--gpus", "2", "a"]])
def test_all_else_is_left_to_the_full_command_line(arguments: list[str]) -> None:
    assert parse(arguments) is None


def test_the_quick_parser_knows_every_option_of_the_command() -> None:
    import typer

    from pricetag.cli.app import app

    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    options = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert options - {"command"} == VALUES.keys() | FLAGS.keys()
