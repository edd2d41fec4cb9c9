"""Parts that the methods of quantization share."""

from __future__ import annotations

from typing import Any

from pricetag.recipes.kinds import Traits

FINAL = "quantized weights are final"
"""Reason why no other stage changes a quantized model."""

WITHOUT_TRAINING: Traits[Any] = Traits(group="compression", makes_model=True, final=FINAL)
"""Traits of methods that convert a trained model and read no data."""
