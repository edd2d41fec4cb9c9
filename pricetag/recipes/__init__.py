"""Parameters of all stage kinds, and their registry, without torch.

The server validates a job with this package before a device is reserved; the worker uses the same
classes.
"""

from pricetag.recipes.data import Data, EncoderConfig, FromScratch
from pricetag.recipes.errors import FieldError, RecipeError
from pricetag.recipes.kinds import Paper, RecipeEntry, Traits
from pricetag.recipes.parse import load_run_file, parse_recipe, parse_run_spec
from pricetag.recipes.registry import REGISTRY, describe, kind_of, kinds_within, traits_of
from pricetag.recipes.run_spec import Recipe, Resources, RunSpec, derive_kind, runs_program
from pricetag.recipes.upstream import FromRun

__all__ = [
    "REGISTRY",
    "Data",
    "EncoderConfig",
    "FieldError",
    "FromRun",
    "FromScratch",
    "Paper",
    "Recipe",
    "RecipeEntry",
    "RecipeError",
    "Resources",
    "RunSpec",
    "Traits",
    "derive_kind",
    "describe",
    "kind_of",
    "kinds_within",
    "load_run_file",
    "parse_recipe",
    "parse_run_spec",
    "runs_program",
    "traits_of",
]
