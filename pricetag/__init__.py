"""Pricetag: energy, carbon, FLOPs, money and accuracy of machine-learning work.

Inside a run that Pricetag meters::

    import pricetag

    with pricetag.stage("train"):
        ...
        pricetag.log(loss=0.3, step=100)

Anywhere else, without a server::

    with pricetag.track("fine-tuning"):
        ...

Names are imported when they are first used: a script that imports Pricetag does not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pricetag.local.tracking import track
    from pricetag.repetition import repeat
    from pricetag.script import flops, log, progress, stage

    __version__: str

__all__ = ["__version__", "flops", "log", "progress", "repeat", "stage", "track"]

_HOMES = {
    "flops": "pricetag.script",
    "load_ipython_extension": "pricetag.integrations.jupyter",
    "log": "pricetag.script",
    "progress": "pricetag.script",
    "repeat": "pricetag.repetition",
    "stage": "pricetag.script",
    "track": "pricetag.local.tracking",
    "unload_ipython_extension": "pricetag.integrations.jupyter",
}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    if name == "__version__":
        from pricetag.installed import installed_version

        value: Any = installed_version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'pricetag' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, whether imported or not."""
    return sorted({*globals(), *__all__})
