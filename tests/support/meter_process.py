"""A process that meters: its records go to a journal, its second opinion to the output.

``python -m tests.support.meter_process JOURNAL_DIR ATTEMPT_ID SECONDS UUID...``

It reports between which two moments it opened and closed the meter and stopped the opinion.
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
    open_at_s = time.time()
    journal.append({"type": "start", "components": [item.as_dict() for item in components]})
    say("open")
    time.sleep(float(seconds))
    close_at_s = time.time()
    meter.close()
    closed_at_s = time.time()
    figures = opinion.stop(timeout_s=60.0)
    stopped_at_s = time.time()
    journal.close()
    times = {
        "opened_at_s": (opened_at_s, open_at_s),
        "closed_at_s": (close_at_s, closed_at_s),
        "stopped_at_s": (closed_at_s, stopped_at_s),
    }
    say(json.dumps({**times, "second_opinion": figures}))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
