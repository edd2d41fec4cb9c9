"""A process that meters: its records go to a journal, its second opinion to the output.

``python -m tests.support.meter_process JOURNAL_DIR ATTEMPT_ID SECONDS UUID...``
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pricetag.metering import Reading, open_sources, prepare
from pricetag.metering.journal import Journal
from pricetag.metering.meter import Meter
from pricetag.metering.second_opinion import SecondOpinion


def main(journal_dir: str, attempt_id: str, seconds: str, *uuids: str) -> None:
    prepare()
    journal = Journal.create(Path(journal_dir), attempt_id)

    def emit(readings: list[Reading]) -> None:
        for reading in readings:
            journal.append({"type": "reading", **reading.as_record()})

    opinion = SecondOpinion(uuids)
    opinion.start()
    meter = Meter(open_sources(uuids), emit)
    opened_at_s = time.time()
    components = meter.open()
    journal.append({"type": "start", "components": [item.as_dict() for item in components]})
    say("open")
    time.sleep(float(seconds))
    meter.close()
    closed_at_s = time.time()
    began_s = time.perf_counter()
    figures = opinion.stop()
    stopped_s = time.perf_counter() - began_s
    journal.close()
    times = {"opened_at_s": opened_at_s, "closed_at_s": closed_at_s}
    say(json.dumps({**times, "stopped_s": stopped_s, "second_opinion": figures}))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
