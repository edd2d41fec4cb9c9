"""``pricetag demo``: trains, compresses, measures and reports once, on this machine.

The demo is a normal client: it starts the service's commands as processes and uses only REST.
No process is left running.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from app import embedded_postgres
from pricetag.cli.console import CliError, say
from pricetag.cli.follow import follow
from pricetag.cli.reports import FORMATS, download
from pricetag.cli.single import run_single
from pricetag.client import Client

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0

RUN: dict[str, Any] = {
    "project": "demo",
    "experiment": "synthetic reviews",
    "name": "small BERT, distilled, pruned, int8",
    "tags": ["demo", "synthetic"],
    "recipe": {
        "task": "classification",
        "data": {
            "train": "reviews/train.tsv",
            "validation": "reviews/dev.tsv",
            "test": "reviews/test.tsv",
            "text": "sentence",
            "label": "label",
        },
        "model": {
            "config": {
                "model_type": "bert",
                "hidden_size": 128,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "intermediate_size": 512,
                "max_position_embeddings": 64,
            }
        },
        "stages": [
            {
                "kind": "train",
                "name": "teacher",
                "epochs": 6,
                "batch_size": 32,
                "learning_rate": 5.0e-4,
                "warmup_ratio": 0.1,
                "max_length": 48,
                "seed": 0,
            },
            {"kind": "measure", "name": "measure teacher", "min_seconds": 5.0},
            {
                "kind": "distill",
                "name": "student, 2 layers",
                "epochs": 3,
                "batch_size": 32,
                "learning_rate": 5.0e-4,
                "alpha": 0.5,
                "temperature": 2.0,
                "max_length": 48,
                "student": {"layers": "every_second"},
            },
            {"kind": "measure", "name": "measure student", "min_seconds": 5.0},
            {
                "kind": "prune",
                "name": "70% pruned",
                "sparsity": 0.7,
                "recovery_epochs": 1.0,
                "learning_rate": 2.0e-4,
                "max_length": 48,
            },
            {"kind": "measure", "name": "measure pruned", "min_seconds": 5.0},
            {"kind": "quantize", "name": "int8", "scheme": "int8_dynamic", "embeddings": True},
            {"kind": "measure", "name": "measure int8", "min_seconds": 5.0},
        ],
    },
}


def demo(
    folder: Annotated[
        Path, typer.Option(help="Folder for data, database and reports; it is kept.")
    ] = ROOT / ".pricetag" / "demo",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the generated data.")] = 0,
) -> None:
    """Run a complete example on this machine: train and compress a model, print its price tag.

    The data are generated. An embedded PostgreSQL, the server and one worker run on free ports of
    this machine, and end with the command.
    """
    folder = folder.expanduser().absolute()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    environment = demo_environment(folder)
    say(f"Generating a data set: sentences with negation and contrast, seed {seed}.")
    output_of(
        environment,
        "workers.training.data.synthetic",
        str(folder / "reviews"),
        "--train",
        "2500",
        "--seed",
        str(seed),
    )
    try:
        with running_service(folder, environment) as url:
            say(f"Server and worker are up: {url}")
            link = output_of(environment, "pricetag", "sign-in").strip()
            say(f"See it in a browser while it runs (the link signs in once): {link}")
            with Client(url, demo_token(environment)) as client:
                code = _run_and_report(client, folder)
    finally:
        embedded_postgres.stop(folder / "data")
    installed = Path(sys.executable).with_name("pricetag")
    program = "pricetag" if shutil.which("pricetag") else installed
    say(f"To open its dashboard again: PRICETAG_DATA_DIR={folder / 'data'} {program} serve")
    say("To run a job of your own: see 'Your first job' in README.md.")
    say(f"Done in {time.monotonic() - began_s:.0f} s; nothing is left running.")
    raise typer.Exit(code)


def _run_and_report(client: Client, folder: Path) -> int:
    accepted = client.create_run(RUN)
    say(f"Run {accepted['id']} was accepted: {accepted['status']}.")
    code = follow(client, accepted["id"], logs=False, as_json=False)
    if code != 0:
        for line in client.iter_logs(accepted["id"]):
            say(line["text"])
        return code
    report = client.create_report("Pricetag demo", runs=[accepted["id"]], profile="strubell2019")
    files = download(client, report["id"], list(FORMATS), folder / "reports")
    say(f"The report, in {len(files)} formats:")
    for path in files.values():
        say(f"  {path}")
    return 0


def demo_environment(folder: Path) -> dict[str, str]:
    """This process's environment, with the demo's settings instead of the user's."""
    variables = {name: value for name, value in os.environ.items() if _is_kept(name)}
    return variables | {
        "PRICETAG_DATA_DIR": str(folder / "data"),
        "PRICETAG_DATA_ROOTS": str(folder),
        "PRICETAG_HOST": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
    }


def _is_kept(name: str) -> bool:
    return not name.startswith("PRICETAG_") or name.startswith(
        ("PRICETAG_METER_", "PRICETAG_GRID_", "PRICETAG_PUE")
    )


@contextmanager
def running_service(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Server and worker on a free port, which end with the block in any case."""
    address = folder / "data" / "server.json"
    address.unlink(missing_ok=True)
    log = folder / "service.log"
    command = [sys.executable, "-m", "pricetag", "serve", "--port", "0", "--with-worker", "1"]
    with log.open("wb") as out:
        # A separate session: only this process gets Ctrl-C, and ends the service in order.
        process = subprocess.Popen(
            [*command, "--gpus", "none"],
            cwd=folder,
            env=dict(environment),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield _wait_for_address(process, address, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_address(process: subprocess.Popen[bytes], address: Path, log: Path) -> str:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise CliError(f"the server did not start; see {log}")
        if address.exists():
            url = str(json.loads(address.read_text())["url"])
            with Client(url) as client:
                client.ready()  # waits by itself while the database comes up
            return url
        time.sleep(0.05)
    raise CliError(f"the server was not ready after {START_TIMEOUT_S:g} s; see {log}")


def demo_token(environment: Mapping[str, str]) -> str:
    """The secret of a new token that may post runs."""
    printed = output_of(
        environment, "pricetag", "token", "create", "--name", "demo", "--role", "member", "--json"
    )
    return str(json.loads(printed)["secret"])


def output_of(environment: Mapping[str, str], module: str, *arguments: str) -> str:
    """What a module prints.

    Raises:
        CliError: If it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CliError(f"{module} {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Entry of ``pricetag demo``."""
    run_single(demo, "demo")
