"""The command that shows what a stored model consists of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import CliError
from pricetag.cli.options import Json

TRAINING_BYTES = 16
"""Bytes of training for each parameter in fp32: weight, gradient and AdamW's two moments."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("inspect", epilog="Example: pricetag inspect models/minilm")(inspect)


def inspect(
    ctx: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Folder of the model, with config.json and *.safetensors."
        ),
    ],
    length: Annotated[
        int,
        typer.Option(
            min=1, max=1_000_000, help="Length of the text for which FLOPs are counted, in tokens."
        ),
    ] = 128,
    json: Json = False,
) -> None:
    """Show a model's parameters, memory and FLOPs by part, and what compression could save.

    It is for a model, not for a run: `pricetag show` shows runs. The figures follow from the
    shapes in the model's files; no weights are loaded, and nothing runs.
    """
    from pricetag.cli.views.inspect import inspect_view
    from pricetag.inspection import UnreadableModelError, exits_of, parts_of, read_model, savings_of

    try:
        stored = read_model(model)
        parts, exits = parts_of(stored, length), exits_of(stored, length)
    except UnreadableModelError as error:
        raise CliError(str(error)) from error
    figures: dict[str, Any] = {
        "model": stored.name,
        "model_type": stored.config.get("model_type"),
        "length": length,
        "parts": {name: asdict(part) for name, part in parts.by_name.items()},
        "total": asdict(parts.total),
        "exits": [asdict(each) for each in exits],
        "training_bytes": TRAINING_BYTES * parts.total.parameters,
        "savings": [asdict(saving) for saving in savings_of(stored, parts)],
    }
    answer(ctx, json, figures, inspect_view)
