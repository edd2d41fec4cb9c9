"""Questions about people and places for the tests, in SQuAD's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAMES = ("Ada", "Bela", "Cara", "Dora", "Eli", "Finn")
PLACES = ("Rome", "Oslo", "Bonn", "Cork", "Lima", "Kyiv")


def squad(count: int, *, unanswerable: bool = False) -> dict[str, Any]:
    """Who lives where, as SQuAD writes it."""
    paragraphs = []
    for n in range(count):
        name, place = NAMES[n % 6], PLACES[(n * 5 + n // 6) % 6]
        text = f"In the year {n} , {name} moved to {place} and stayed there."
        asked: dict[str, Any] = {
            "id": str(n),
            "question": f"Where did {name} move ?",
            "answers": [{"text": place, "answer_start": text.index(place)}],
        }
        if unanswerable and n % 3 == 0:
            asked |= {"question": "Why ?", "answers": [], "is_impossible": True}
        paragraphs.append({"context": text, "qas": [asked]})
    return {"version": "1.1", "data": [{"title": "people", "paragraphs": paragraphs}]}


def question_files(root: Path, *, train: int = 36, dev: int = 12, **options: Any) -> Path:
    """A folder to be a data root, with ``data/train.json`` and ``data/dev.json`` in it."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("dev", dev)):
        (root / "data" / f"{name}.json").write_text(json.dumps(squad(count, **options)))
    return root
