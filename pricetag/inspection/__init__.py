"""The parts of a stored model, from its files alone: no weights are loaded."""

from pricetag.inspection.files import StoredModel, UnreadableModelError, read_model
from pricetag.inspection.parts import Exit, Part, exits_of, parts_of
from pricetag.inspection.savings import Saving, savings_of

__all__ = [
    "Exit",
    "Part",
    "Saving",
    "StoredModel",
    "UnreadableModelError",
    "exits_of",
    "parts_of",
    "read_model",
    "savings_of",
]
