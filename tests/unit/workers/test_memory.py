"""Freed memory that a job's process keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

ALLOCATE = """
import resource
from workers.job.memory import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def allocate(times):
    before = faults()
    for _ in range(times):
        b"x" * 2**26
    return faults() - before

assert keep_freed()
allocate(1)
print(allocate(10))
"""


def test_a_large_block_is_not_fetched_from_the_kernel_again() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ALLOCATE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # Given back and fetched again, ten blocks of 64 MB are 320 pages of 2 MB, or 163,840 of 4 kB.
    assert int(ran.stdout) < 160
