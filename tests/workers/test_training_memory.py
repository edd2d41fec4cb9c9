"""Memory that training frees is kept for its next step, and returned afterwards."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

from workers.training import memory

WORDS = 16 * 2**20  # 64 MiB: more than glibc keeps by itself
PAGES = 4 * WORDS // resource.getpagesize()

MEASURED = f"""
import resource, torch
from workers.training.memory import kept_between_steps

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty({WORDS}).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

faults()
before = resident()
outside = faults()
with kept_between_steps():
    inside = min(faults() for _ in range(6))
    kept = resident() - before
print(outside, inside, kept, resident() - before)
"""


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    """Pages that were cleared for one tensor, and those that stay in memory."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=300
    )
    names = ("outside", "inside", "kept", "afterwards")
    return dict(zip(names, map(int, done.stdout.split()), strict=True))


def test_a_freed_tensor_is_used_again_without_clearing_its_pages(measured: dict[str, int]) -> None:
    assert measured["inside"] < PAGES / 20
    assert measured["inside"] <= measured["outside"]


def test_free_memory_is_returned_after_training(measured: dict[str, int]) -> None:
    assert measured["kept"] > PAGES / 2
    assert measured["afterwards"] < PAGES / 2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with memory.kept_between_steps():
        assert torch.empty(WORDS).fill_(1.0)[0] == 1.0
