"""AMD's library ``amdsmi``: imported on first use, opened once per process, with one error table.

It is not a dependency of Pricetag: it comes with ROCm and must match the driver's version.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from pricetag.metering.nvml_errors import Action, LibraryUnavailableError, Unavailability

MODULE = "amdsmi"
INSTALL_COMMAND = "pip install /opt/rocm/share/amd_smi"

NOT_INSTALLED = Unavailability("amdsmi, which comes with ROCm, is not installed", INSTALL_COMMAND)

ACTIONS: Mapping[int, Action] = {
    1: Action.NEXT_SOURCE,  # INVAL
    2: Action.NEXT_SOURCE,  # NOT_SUPPORTED
    3: Action.NEXT_SOURCE,  # NOT_YET_IMPLEMENTED
    4: Action.UNAVAILABLE,  # FAIL_LOAD_MODULE
    5: Action.NEXT_SOURCE,  # FAIL_LOAD_SYMBOL
    6: Action.LOST,  # DRM_ERROR
    10: Action.DEGRADE,  # NO_PERM
    18: Action.UNAVAILABLE,  # INIT_ERROR
    31: Action.LOST,  # NOT_FOUND
    32: Action.REINITIALIZE,  # NOT_INIT
    34: Action.UNAVAILABLE,  # DRIVER_NOT_LOADED
    51: Action.UNAVAILABLE,  # NO_DRV
}
"""What AMD SMI's status codes mean for the meter; other codes are transient.

Source: ``amdsmi_status_t``, AMD SMI's C API reference, rocm.docs.amd.com.
"""

_lock = threading.Lock()
_users = 0


class AmdUnavailableError(LibraryUnavailableError):
    """AMD's library cannot be used."""


def is_installed() -> bool:
    """Whether ``amdsmi`` is installed, without importing it."""
    return importlib.util.find_spec(MODULE) is not None


def load() -> ModuleType:
    """The module, imported on first use.

    Raises:
        AmdUnavailableError: If it is not installed, or its C library cannot be loaded.
    """
    if not is_installed():
        raise AmdUnavailableError(NOT_INSTALLED)
    try:
        return importlib.import_module(MODULE)
    except (ImportError, OSError, AttributeError, KeyError) as error:
        why = f"amdsmi does not fit the installed ROCm ({type(error).__name__}: {error})"
        raise AmdUnavailableError(Unavailability(why, INSTALL_COMMAND)) from error


def open_library() -> Any:
    """The initialized module; each call needs a matching :func:`close_library`.

    Raises:
        AmdUnavailableError: If it cannot be initialized.
    """
    global _users
    with _lock:
        library = load()
        if _users == 0:
            _initialize(library)
        _users += 1
        return library


def reopen_library(library: Any) -> None:
    """Initialize a library again that reports it is uninitialized, for all its users.

    Raises:
        AmdUnavailableError: If it cannot be initialized.
    """
    with _lock:
        _initialize(library)


def close_library(library: Any) -> None:
    """Shut the library down once nothing in this process uses it."""
    global _users
    with _lock:
        _users = max(_users - 1, 0)
        if _users == 0:
            try:
                library.amdsmi_shut_down()
            except library.AmdSmiException:
                return  # already shut down


def _initialize(library: Any) -> None:
    try:
        library.amdsmi_init()
    except library.AmdSmiException as error:
        code = code_of(error)
        reasons = {
            34: Unavailability("the amdgpu driver is not loaded", "sudo modprobe amdgpu"),
            10: Unavailability(
                "this user may not talk to the amdgpu driver", "sudo usermod -aG render,video $USER"
            ),
        }
        why = reasons.get(code) or Unavailability(f"AMD SMI reported: {error}", "amd-smi list")
        raise AmdUnavailableError(why) from error


def code_of(error: Exception) -> int:
    """The status code of one of AMD SMI's exceptions; -1 where it has none."""
    code = getattr(error, "err_code", None)
    if code is None and hasattr(error, "get_error_code"):
        code = error.get_error_code()
    return int(code) if isinstance(code, int) else -1


def action_for(code: int) -> Action:
    """What to do about a status code."""
    return ACTIONS.get(code, Action.TRY_AGAIN)


def number(value: object) -> float | None:
    """A figure of AMD SMI; None for its missing values ``N/A`` and 0xFFFF."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value != 0xFFFF else None
