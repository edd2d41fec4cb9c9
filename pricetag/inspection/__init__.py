"""What a stored model consists of, from its files alone: no weights are loaded."""

from pricetag.inspection.files import StoredModel, UnreadableModelError, read_model
from pricetag.inspection.parts import Part, parts_of
from pricetag.inspection.savings import Saving, savings_of

__all__ = [
    "Part",
    "Saving",
    "StoredModel",
    "UnreadableModelError",
    "parts_of",
    "read_model",
    "savings_of",
]
