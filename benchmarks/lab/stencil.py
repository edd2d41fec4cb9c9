"""The rows of an original as text with holes: ids, times, names and devices to fill in.

Times are moved by whole weeks, so that only the day and the hour of each change and every rule
by the hour of the week still holds: a repeated price tag verifies to the last digit.
"""

from __future__ import annotations

import hashlib
import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from benchmarks.lab.scale import HOUR
from models.documents.codec import join, to_text, without_numbers
from pricetag.accounting.document.jcs import canonical_json

RUN_NAME = "name of the original"
TAG = "tag-of-the-original"
NODE = "node-of-the-original"
DOCUMENT = "document-of-the-original"
LATEST_S = 7200.0
"""Seconds around the present in which a time is that of the making, not of the history."""

TOKEN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b[0-9a-f]{64}\b"
    r"|20\d\d-\d\d-\d\d [0-9:.]+\+00"
    r"|20\d\d-\d\d-\d\d[ T]\d\d(?=:)"
    rf"|{RUN_NAME}|{TAG}|{NODE}|{DOCUMENT}-\d\d|GPU-original-\d\d"
)

Key = tuple[str, int]
"""What a hole is filled with, and its number: ``("attempt", 0)``."""


def document_name(number: int) -> str:
    """The placeholder of a stored document while an original is cut."""
    return f"{DOCUMENT}-{number:02d}"


@dataclass(frozen=True)
class Issued:
    """A price tag of an original.

    Attributes:
        sha256: Its hash.
        canonical: The text that is hashed.
        marked: The text that is stored, without its numbers.
        numbers: These numbers, which are the same in every repetition.
    """

    sha256: str
    canonical: str
    marked: str
    numbers: list[float]

    @classmethod
    def of(cls, content: Mapping[str, Any], sha256: str) -> Issued:
        marked, numbers = without_numbers(to_text(content))
        return cls(sha256, canonical_json(content), marked, numbers)


def device_name(place: int) -> str:
    """UUID of an accelerator of an original; their order is that of the real ones."""
    return f"GPU-original-{place:02d}"


@dataclass(frozen=True)
class Original:
    """A run that was carried out, to be repeated.

    Attributes:
        weight: Its part of all runs.
        site: Where it ran; repeated on a node there.
        gpus: Number of accelerators.
        starts_at: When it was started.
        ends_at: When it ended, or last reported.
        made_at: When it was carried out.
        created_at: When it was posted.
        hour_of_week: In which it is started, from 0 to 167.
        is_traced: Whether its readings are a power trace, and not in the stencil.
        model: Stage, kind, folder and hash of the model that it published; None without one.
    """

    run_id: uuid.UUID
    weight: float
    site: str
    gpus: int
    starts_at: datetime
    ends_at: datetime
    made_at: datetime
    attempt_ids: tuple[uuid.UUID, ...]
    created_at: datetime
    hour_of_week: int
    is_traced: bool
    model: tuple[str, str, str, str] | None = None

    @property
    def first_hour(self) -> datetime:
        """The full hour in which it was started."""
        return self.starts_at.replace(minute=0, second=0, microsecond=0)


@dataclass
class Stencil:
    """All rows of one original.

    Attributes:
        holes: Position of each hole's value.
        texts: For each table the rows, and the values they take in order.
        documents: Canonical texts of its price tags, whose hashes are among the values.
        stored: Texts and numbers of the same price tags as the database has them.
    """

    original: Original
    holes: dict[Key, int] = field(default_factory=dict)
    texts: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    documents: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    stored: list[tuple[tuple[str, tuple[int, ...]], list[float]]] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[tuple[int, int]]:
        """Positions and numbers of the holes of a kind."""
        return [(at, number) for (name, number), at in self.holes.items() if name == kind]


class Cutter:
    """Makes the stencil of one original.

    Args:
        original: The run.
        keys: By text that changes with every repetition, what takes its place.
    """

    def __init__(self, original: Original, keys: Mapping[str, Key]) -> None:
        self.stencil = Stencil(original)
        self._keys = keys

    def rows(self, table: str, text: str) -> None:
        """Adds the rows of a table, in COPY's text form."""
        self.stencil.texts[table] = self._cut(text)

    def document(self, issued: Issued) -> None:
        """Adds a price tag, in the order of their hashes."""
        self.stencil.documents.append(self._cut(issued.canonical))
        self.stencil.stored.append((self._cut(issued.marked), issued.numbers))

    def _cut(self, text: str) -> tuple[str, tuple[int, ...]]:
        parts: list[str] = []
        values: list[int] = []
        end = 0
        for match in TOKEN.finditer(text):
            key, length = self._key(match.group())
            if key is None:
                continue
            parts += [text[end : match.start()].replace("%", "%%"), "%s"]
            values.append(self.stencil.holes.setdefault(key, len(self.stencil.holes)))
            end = match.start() + length
        parts.append(text[end:].replace("%", "%%"))
        return "".join(parts), tuple(values)

    def _key(self, token: str) -> tuple[Key | None, int]:
        if token in self._keys:
            return self._keys[token], len(token)
        if not token.startswith("20") or token[4:5] != "-":
            return None, len(token)
        moment = datetime.strptime(token[:13].replace("T", " "), "%Y-%m-%d %H")
        hours = self._hours(moment.replace(tzinfo=UTC))
        kind = "hour" if token[10] == " " else "iso hour"
        return (None if hours is None else (kind, hours)), 13

    def _hours(self, moment: datetime) -> int | None:
        """Hours from the original's first one; None for a time that is not of its history."""
        original = self.stencil.original
        if abs((moment - original.made_at).total_seconds()) < LATEST_S:
            moment = original.ends_at
        hours = (moment - original.first_hour) // HOUR
        last = (original.ends_at - original.first_hour) // HOUR
        return hours if -48 <= hours <= last + 2 else None


@dataclass(frozen=True)
class Occasion:
    """One repetition: when, by whom, on what."""

    start: datetime  # the full hour in which it is started
    created_at: datetime
    project: uuid.UUID
    experiment: uuid.UUID
    user: uuid.UUID
    token: uuid.UUID
    node: str
    devices: Sequence[str]
    name: str
    tags: str  # as an array's text holds them: a,b


class Repeater:
    """Fills in the stencil of one original."""

    def __init__(self, stencil: Stencil) -> None:
        self.original = stencil.original
        self._count = len(stencil.holes)
        self._of_kind = {
            kind: stencil.of_kind(kind)
            for kind in ("attempt", "device", "hour", "iso hour", "id", "recent", "sha", "document")
        }
        self._single = {kind: at for (kind, number), at in stencil.holes.items() if kind in SINGLE}
        self._texts = {table: _filling(*cut) for table, cut in stencil.texts.items()}
        self._documents = [_filling(*cut) for cut in stencil.documents]
        self._stored = [(_filling(*cut), numbers) for cut, numbers in stencil.stored]

    def repeat(
        self, occasion: Occasion, rng: random.Random, recent: Sequence[str]
    ) -> tuple[str, list[str], dict[str, str]]:
        """Rows of one repetition.

        Args:
            occasion: What is different.
            rng: For the ids.
            recent: Ids of runs that its quote may name.

        Returns:
            The ids of the run and of its attempts, and its rows by table.
        """
        values: list[Any] = [""] * self._count
        run_id = fresh_id(rng)
        single = {
            "run": run_id,
            "project": occasion.project,
            "experiment": occasion.experiment,
            "user": occasion.user,
            "token": occasion.token,
            "node": occasion.node,
            "name": occasion.name,
            "tag": occasion.tags,
            "created": f"{occasion.created_at:%Y-%m-%d %H:%M:%S.%f}+00",
        }
        for kind, at in self._single.items():
            values[at] = single[kind]
        attempts = [fresh_id(rng) for _ in self.original.attempt_ids]
        for at, number in self._of_kind["attempt"]:
            values[at] = attempts[number]
        for at, number in self._of_kind["device"]:
            values[at] = occasion.devices[number]
        for at, number in self._of_kind["hour"]:
            values[at] = hour_text(occasion.start, number)
        for at, number in self._of_kind["iso hour"]:
            values[at] = hour_text(occasion.start, number).replace(" ", "T")
        for at, _ in self._of_kind["id"]:
            values[at] = fresh_id(rng)
        for at, _ in self._of_kind["recent"]:
            values[at] = rng.choice(recent) if recent else run_id
        for at, number in self._of_kind["sha"]:
            document = self._documents[number](values)
            values[at] = hashlib.sha256(document.encode()).hexdigest()
        for at, number in self._of_kind["document"]:
            fill_in, numbers = self._stored[number]
            values[at] = rf"\\x{join(fill_in(values), numbers).hex()}"
        rows = {table: fill(values) for table, fill in self._texts.items()}
        return run_id, attempts, rows


SINGLE = frozenset(
    {"run", "project", "experiment", "user", "token", "node", "name", "tag", "created"}
)

_hour_texts: dict[int, str] = {}


def hour_text(start: datetime, hours: int) -> str:
    """Day and hour of a time, as PostgreSQL writes them."""
    number = int(start.timestamp()) // 3600 + hours
    text = _hour_texts.get(number)
    if text is None:
        moment = datetime.fromtimestamp(number * 3600, UTC)
        text = _hour_texts[number] = f"{moment:%Y-%m-%d %H}"
    return text


def fresh_id(rng: random.Random) -> str:
    """A new id, as text."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _filling(text: str, holes: tuple[int, ...]) -> Callable[[Sequence[Any]], str]:
    if not holes:
        plain = text.replace("%%", "%")
        return lambda values: plain
    if len(holes) == 1:
        (only,) = holes
        return lambda values: text % (values[only],)
    take = itemgetter(*holes)
    return lambda values: text % take(values)
