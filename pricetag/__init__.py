"""Pricetag: energy, carbon, FLOPs, money and accuracy of machine-learning work.

Inside a run that Pricetag meters::

    import pricetag

    with pricetag.stage("train"):
        ...
        pricetag.log(loss=0.3, step=100)
"""

from importlib.metadata import PackageNotFoundError, version

from pricetag.repetition import repeat
from pricetag.track import flops, log, progress, stage

try:
    __version__ = version("pricetag")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__", "flops", "log", "progress", "repeat", "stage"]
