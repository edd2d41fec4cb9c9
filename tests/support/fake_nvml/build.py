"""Compiles the simulated library and describes the environment that uses it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.fake_nvml.trace import FakeDevice, FakeTrace, gpu_uuid

SOURCE = Path(__file__).with_name("nvml.c")

# CodeCarbon looks for the program before it believes in a GPU.
NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA System Management Interface (pretended)'\n"


def default_trace(devices: int = 2) -> FakeTrace:
    return FakeTrace([FakeDevice(gpu_uuid(n), base_w=100.0 * n) for n in range(1, devices + 1)])


def build_fake_nvml(tmp_path: Path, trace: FakeTrace | None = None) -> dict[str, str]:
    """Compile into ``tmp_path``; the variables to add to a process's environment."""
    library_dir, program_dir = tmp_path / "nvml-lib", tmp_path / "nvml-bin"
    library_dir.mkdir(parents=True, exist_ok=True)
    program_dir.mkdir(parents=True, exist_ok=True)
    library = library_dir / "libnvidia-ml.so.1"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", str(library), str(SOURCE)], check=True)
    program = program_dir / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    trace_file = tmp_path / "nvml-trace.txt"
    trace_file.write_text((trace or default_trace()).to_text())
    return {
        "LD_LIBRARY_PATH": _before(library_dir, "LD_LIBRARY_PATH"),
        "PATH": _before(program_dir, "PATH"),
        "FAKE_NVML_TRACE": str(trace_file),
    }


def _before(folder: Path, variable: str) -> str:
    rest = os.environ.get(variable)
    return f"{folder}{os.pathsep}{rest}" if rest else str(folder)
