"""Example bodies of the OpenAPI document; the server accepts each of them unchanged."""

from __future__ import annotations

from typing import Any

PIPELINE_RUN: dict[str, Any] = {
    "project": "reviews",
    "experiment": "two layers",
    "name": "small BERT, then int8",
    "tags": ["example"],
    "resources": {"gpus": 0, "pool": "default"},
    "recipe": {
        "task": "classification",
        "data": {
            "train": "reviews/train.tsv",
            "validation": "reviews/dev.tsv",
            "text": "sentence",
            "label": "label",
        },
        "model": {
            "config": {
                "num_hidden_layers": 2,
                "hidden_size": 64,
                "num_attention_heads": 2,
                "intermediate_size": 128,
            }
        },
        "stages": [
            {"kind": "train", "epochs": 3, "batch_size": 32, "learning_rate": 1e-3, "seed": 0},
            {"kind": "quantize", "scheme": "int8_dynamic", "embeddings": True},
            {"kind": "measure", "batch_size": 1},
        ],
    },
}

COMMAND_RUN: dict[str, Any] = {
    "project": "text",
    "experiment": "scripts",
    "name": "a script of our own",
    "recipe": {
        "stages": [{"kind": "command", "argv": ["python", "train.py"], "code": "/data/sentiment"}]
    },
}

STUDY: dict[str, Any] = {
    "name": "learning rates",
    "base": PIPELINE_RUN,
    "space": [
        {
            "kind": "log_uniform",
            "field": "recipe.stages.0.learning_rate",
            "low": 1e-5,
            "high": 1e-2,
        },
        {"kind": "choice", "field": "recipe.stages.0.batch_size", "values": [16, 32]},
    ],
    "strategy": {
        "kind": "hyperband",
        "max_resource": 9,
        "eta": 3,
        "resource": {"field": "recipe.stages.0.epochs", "unit": 0.5},
    },
    "metric": {"name": "accuracy"},
    "budget": {"kwh": 2.5},
}

COMMAND_STUDY: dict[str, Any] = {
    "name": "threads",
    "base": COMMAND_RUN,
    "space": [
        {
            "kind": "choice",
            "field": "recipe.stages.0.env.OMP_NUM_THREADS",
            "values": ["1", "2", "4"],
        }
    ],
    "strategy": {"kind": "grid"},
    "metric": {"name": "examples_per_s"},
}

REPORT: dict[str, Any] = {
    "title": "What the sentiment study cost",
    "profile": "strubell2019",
    "filter": {"project": "text", "status": ["succeeded", "failed"]},
}

PAPER: dict[str, Any] = {
    "project": "text",
    "title": "Small encoders at half the energy",
    "authors": "Lovelace, Ada and Hopper, Grace",
    "rule": {"experiment": "sst2", "created_after": "2026-03-01T00:00:00Z"},
}

PUBLISHED_PAPER: dict[str, Any] = {
    "project": "text",
    "title": "Two published models",
    "published": ["strubell2019"],
    "entered": [
        {
            "model": "Wider model",
            "hardware": "H100 x 2",
            "devices": 2,
            "device_power_w": 500.0,
            "hours": 10.0,
            "pue": 1.2,
            "source": "Hopper 2025: Wider models",
            "year": 2025,
        }
    ],
}

PAPER_CHANGE: dict[str, Any] = {"authors": "Lovelace, Ada"}

TOKEN: dict[str, Any] = {"name": "ada's laptop", "role": "member"}

USER: dict[str, Any] = {"name": "ada", "email": "ada@example.org", "role": "member"}

USER_CHANGE: dict[str, Any] = {"disabled": True}

USER_TOKEN: dict[str, Any] = {"name": "laptop", "expires_at": "2100-01-01T00:00:00Z"}

SIGN_IN_LINK: dict[str, Any] = {"lifetime_h": 24}

PROJECT_CHANGE: dict[str, Any] = {"visibility": "private"}

MEMBER: dict[str, Any] = {"user": "ada", "role": "member"}

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

SITE: dict[str, Any] = {
    "name": "berlin",
    "description": "hall 2",
    "grid_zone": "DE",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
}

SITE_CHANGE: dict[str, Any] = {"grid_zone": "FR"}

FACTOR: dict[str, Any] = {
    "kind": "pue",
    "value": "1.21",
    "year": 2025,
    "basis": "annual mean, by the building's and the racks' meters",
    "source": "energy report of hall 2",
    "licence": "the lab's own figure",
    "valid_from": "2025-01-01T00:00:00+01:00",
}

TARIFF: dict[str, Any] = {
    "kind": "tariff",
    "year": 2026,
    "basis": "contract with taxes, without the standing charge",
    "source": "contract of 2026",
    "licence": "the lab's own figure",
    "details": {
        "periods": [
            {"days": ["mon-fri"], "from": "07:00", "to": "22:00", "price": "0.31"},
            {"days": ["mon-fri"], "from": "22:00", "to": "07:00", "price": "0.22"},
            {"days": ["sat"], "from": "07:00", "to": "24:00", "price": "0.22"},
            {"days": ["sun"], "from": "00:00", "to": "24:00", "price": "0.22"},
            {"days": ["mon"], "from": "00:00", "to": "07:00", "price": "0.22"},
        ]
    },
    "valid_from": "2026-01-01T00:00:00+01:00",
}

PRICE: dict[str, Any] = {
    "price_id": "cloud-h100-spot",
    "provider": "a cloud",
    "region": "europe-west",
    "accelerator": "H100",
    "amount": "2.10",
    "currency": "EUR",
    "kind": "spot",
    "source": "price list of 2026-01",
    "licence": "figure quoted with attribution",
    "valid_from": "2026-01-01T00:00:00Z",
}

OWNED_PRICE: dict[str, Any] = {
    "price_id": "our-h100",
    "provider": "the lab",
    "accelerator": "H100",
    "currency": "EUR",
    "kind": "internal",
    "ownership": {"capex": "28000", "lifetime_h": 35040, "utilisation_ratio": "0.7"},
    "source": "invoice of 2025",
    "licence": "the lab's own figure",
    "valid_from": "2025-06-01T00:00:00Z",
}

PRICE_FILE: dict[str, Any] = {
    "format": "csv",
    "content": "\n".join(
        (
            "price_id,provider,accelerator,amount,currency,kind,valid_from,source,licence",
            "cloud-a100-spot,a cloud,A100,1.20,EUR,spot,2026-01-01,price list of 2026-01,quoted",
            "",
        )
    ),
}

CARBON_FILE: dict[str, Any] = {
    "zone": "DE",
    "basis": "lifecycle, consumption, location-based",
    "source": "the grid operator's open data",
    "licence": "CC BY 4.0",
    "content": "hour,g_per_kwh\n2026-03-01T12:00Z,231.5\n2026-03-01T13:00Z,240.2\n",
}

FORECAST_FETCH: dict[str, Any] = {"provider": "uk-carbon-intensity", "zone": "GB"}

CARBON_FETCH: dict[str, Any] = {
    "provider": "electricitymaps",
    "zone": "US-CA",
    "provider_zone": "US-CAL-CISO",
    "start": "2026-03-01T00:00:00Z",
    "end": "2026-03-02T00:00:00Z",
}
