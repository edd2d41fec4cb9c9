from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from pricetag.attempt import log as attempt_log
from pricetag.attempt.log import AttemptLog
from pricetag.metering.journal import Journal


@pytest.mark.parametrize("line", ["", "x", "x" * 1000])
def test_a_flood_of_lines_is_cut_however_short_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(attempt_log, "MAX_LOG_BYTES", 20_000)
    journal = Journal.create(tmp_path, uuid4())
    log = AttemptLog(journal, lambda: 1.0)
    for _ in range(1000):
        log.text(line, "stdout")
    texts = [record["text"] for record in journal.read_from(0, 2000)]
    assert texts[-1] == "the log exceeds 20000 bytes: the rest is omitted"
    assert set(texts[:-1]) == {line}
    assert journal.path.stat().st_size < 30_000
    journal.close()


def test_a_long_line_is_cut_and_marked(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, uuid4())
    AttemptLog(journal, lambda: 1.0).text("x" * 10_000, "stdout")
    (record,) = journal.read_from(0, 10)
    assert record["text"] == "x" * 8192 + " [1808 characters omitted]"
    journal.close()
