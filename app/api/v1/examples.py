"""Bodies shown in the OpenAPI document; each is accepted as it stands."""

from __future__ import annotations

from typing import Any

PIPELINE_RUN: dict[str, Any] = {
    "project": "text",
    "experiment": "sst2",
    "name": "MiniLM fine-tuned, then int8",
    "tags": ["sst2", "minilm"],
    "resources": {"gpus": 0, "pool": "default"},
    "recipe": {
        "task": "classification",
        "data": {
            "train": "data/sst2/train.tsv",
            "validation": "data/sst2/dev.tsv",
            "text": "sentence",
            "label": "label",
        },
        "model": "models/minilm",
        "stages": [
            {"kind": "train", "epochs": 1, "batch_size": 32, "learning_rate": 1e-4, "seed": 0},
            {"kind": "quantize", "scheme": "int8_dynamic", "embeddings": True},
            {"kind": "measure", "batch_size": 1},
        ],
    },
}

COMMAND_RUN: dict[str, Any] = {
    "project": "text",
    "experiment": "scripts",
    "name": "a script of our own",
    "recipe": {"stages": [{"kind": "command", "argv": ["python", "train.py"]}]},
}

REPORT: dict[str, Any] = {
    "title": "What the sentiment study cost",
    "profile": "strubell2019",
    "filter": {"project": "text", "status": ["succeeded", "failed"]},
}

TOKEN: dict[str, Any] = {"name": "ada's laptop", "role": "member"}

BUDGET: dict[str, Any] = {
    "name": "text, monthly",
    "scope": "project",
    "project": "text",
    "metric": "co2e_kg",
    "amount": 25,
    "period": "month",
    "time_zone": "Europe/Berlin",
    "thresholds": [0.5, 0.8, 1.0],
}

BUDGET_CHANGE: dict[str, Any] = {"amount": 40}

QUOTE: dict[str, Any] = {
    "devices": 8,
    "device_power_w": 300.0,
    "hours": 84.0,
    "pue": 1.58,
    "grid_g_per_kwh": 429.0,
    "price_low": 0.43,
    "price_high": 1.46,
}
