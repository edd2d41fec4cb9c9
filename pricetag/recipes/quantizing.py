"""Parts that the methods of quantization share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pricetag.recipes.kinds import Traits
from pricetag.recipes.training import TRAINING

FINAL = "quantized weights are final"
"""Reason why no other stage changes a quantized model."""

WITHOUT_TRAINING: Traits[Any] = Traits(group="compression", makes_model=True, final=FINAL)
"""Traits of methods that convert a trained model and read no data."""

WITH_TRAINING: Traits[Any] = replace(TRAINING, group="compression", final=FINAL)
"""Traits of methods that train with rounded weights before they convert the model."""
