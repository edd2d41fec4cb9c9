"""CodeCarbon as a library of parts: loaded on first use, silenced, without its configuration.

CodeCarbon's tracker fills unset arguments from ``.codecarbon.config`` files and from every variable
that begins with ``CODECARBON_``; a lab's own CodeCarbon settings must not change the figures
of a price tag.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

INSTALL_COMMAND = "pip install 'pricetag[worker]'"

MISSING = "CodeCarbon is not installed"


@dataclass(frozen=True, slots=True)
class CpuModel:
    """CodeCarbon's facts about this machine's CPU.

    Attributes:
        name: The CPU's name as it reports it.
        tdp_w: Thermal design power of all sockets together, in W.
        is_known: Whether the CPU is in CodeCarbon's table; otherwise its TDP is 4 W per thread.
    """

    name: str
    tdp_w: float
    is_known: bool


def is_installed() -> bool:
    """Whether CodeCarbon and psutil are installed, without importing them."""
    return all(importlib.util.find_spec(name) is not None for name in ("codecarbon", "psutil"))


def installed_version() -> str:
    """CodeCarbon's version.

    Raises:
        importlib.metadata.PackageNotFoundError: If it is not installed.
    """
    from importlib.metadata import version

    return version("codecarbon")


@lru_cache(maxsize=1)
def cpu_model() -> CpuModel | None:
    """Look the CPU up in CodeCarbon's table, once per process (1 to 2 s the first time).

    None when the machine does not report its CPU.
    """
    cpu = load("codecarbon.core.cpu")
    util = load("codecarbon.core.util")
    cached_tdp = load("codecarbon.core.hardware_cache").get_cached_tdp(cpu)
    if cached_tdp.tdp is None:
        return None
    # For an unknown CPU, CodeCarbon counts threads, which covers all sockets.
    is_known = cached_tdp.tdp != util.count_cpus() * cpu.DEFAULT_POWER_PER_CORE
    sockets = util.count_physical_cpus() if is_known else 1
    return CpuModel(name=cached_tdp.model, tdp_w=float(cached_tdp.tdp * sockets), is_known=is_known)


def load(module: str) -> Any:
    """A module of CodeCarbon, which has few types; its output while loading is suppressed."""
    logging.getLogger("codecarbon").setLevel(logging.ERROR)
    loaded = importlib.import_module(module)
    logging.getLogger("codecarbon").setLevel(logging.ERROR)  # the import sets its own level
    _count_the_whole_machine()
    return loaded


_SLURM_READERS = ("codecarbon.core.util", "codecarbon.external.ram")


def _count_the_whole_machine() -> None:
    """Let CodeCarbon count the CPUs and memory of the machine, also inside a Slurm job.

    It would ask ``scontrol`` for the job's share: the load that is metered is the whole
    machine's, and in a container there may be no ``scontrol``.
    """
    for name in _SLURM_READERS:
        if name in sys.modules:
            sys.modules[name].SLURM_JOB_ID = None  # type: ignore[attr-defined]
