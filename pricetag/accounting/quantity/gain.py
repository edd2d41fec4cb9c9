"""Groups of meters that share their gain error."""

from __future__ import annotations

_MODEL = "model"
_ESTIMATE = "estimate"
_CALIBRATION = "calibration"


def gain_group(kind: str, name: str, method: str, *, calibrated: str | None = None) -> str:
    """Name of the group of components that share one gain error.

    Components of one product share it, and so do models and estimates of one kind of component; a
    calibrated meter has its own.

    Args:
        kind: gpu, cpu, ram or host.
        name: Product name.
        method: How its energy was obtained.
        calibrated: Id of the component, if its meter was calibrated.
    """
    if calibrated is not None:
        return f"{_CALIBRATION}:{calibrated}"
    if method == "estimated":
        return f"{kind}:{_ESTIMATE}"
    return f"{kind}:{_MODEL}" if method == "modelled" else f"{kind}:{name}"


def gain_name(group: str) -> str:
    """Name of a group of :func:`gain_group` as a cause of error."""
    kind, _, name = group.partition(":")
    if kind == _CALIBRATION:
        return f"calibration of {name}"
    if name == _ESTIMATE:
        return f"another tool's estimate of {kind}"
    return f"power model of {kind}" if name == _MODEL else f"gain of {name} ({kind})"
