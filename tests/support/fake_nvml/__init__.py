"""An NVML that needs no GPU: a C library for whole processes, driven by a text file.

``build_fake_nvml`` compiles it and returns the environment that makes a process use it. The
figures follow the wall clock, so that every process sees the same counter and a test knows the
true energy of any stretch of time (``true_energy_j``).
"""

from tests.support.fake_nvml.build import build_fake_nvml
from tests.support.fake_nvml.trace import FakeDevice, FakeTrace, gpu_uuid, true_energy_j

__all__ = ["FakeDevice", "FakeTrace", "build_fake_nvml", "gpu_uuid", "true_energy_j"]
