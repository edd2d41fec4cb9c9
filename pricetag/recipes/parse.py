"""Parses plain data or a file into a ``RunSpec``; errors state the invalid field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pricetag import storable
from pricetag.field_messages import message_of, quotes_hint
from pricetag.one_line import not_utf8
from pricetag.recipes.architectures import ARCHITECTURES
from pricetag.recipes.base import AS_STORED
from pricetag.recipes.data import Data, EncoderConfig, FromScratch
from pricetag.recipes.errors import FieldError, RecipeError
from pricetag.recipes.registry import REGISTRY, entry_of, methods_of
from pricetag.recipes.run_spec import Recipe, Resources, RunSpec
from pricetag.recipes.upstream import FromRun
from pricetag.recipes.yaml_text import YamlError, parse_yaml
from pricetag.strict_json import StrictJsonError, parse_json

MAX_VALUES = 50_000
MAX_DEPTH = 32
MAX_FILE_BYTES = 1_000_000


OF_A_STUDY = (
    "belongs to a study: it is not a job",
    "submit a study with 'pricetag study'; the job is the value of its base",
)
"""The problem of a study instead of a job, and the hint."""


def parse_run_spec(obj: object, *, is_stored: bool = False) -> RunSpec:
    """Parse a run description from plain data (decoded JSON or YAML).

    Args:
        obj: The description.
        is_stored: Whether the service has accepted it before, under the rules of its time for
            names.

    Raises:
        RecipeError: with all faults, the first one as ``field``, ``message``, ``hint``.
    """
    if not isinstance(obj, Mapping):
        raise RecipeError("", f"a run is an object of fields, not {_type_name(obj)}")
    faults = list(_unstorable(obj))
    if faults:
        raise RecipeError(errors=faults)
    if "base" in obj and "recipe" not in obj:
        raise RecipeError("base", *OF_A_STUDY)
    try:
        return RunSpec.model_validate(obj, context=AS_STORED if is_stored else None)
    except ValidationError as error:
        raise RecipeError(errors=field_errors(error, obj)) from error


UNKNOWN_FIELD = "is not a known field"


def field_errors(error: ValidationError, obj: Mapping[str, Any]) -> list[FieldError]:
    """The invalid fields of a description, each once, by the author's own paths."""
    details = error.errors(include_url=False)
    return _distinct(_field_error(detail, obj) for detail in details)


def parse_recipe(obj: object) -> Recipe:
    """Parse only a recipe, as in a stored run; paths begin with ``recipe``.

    Raises:
        RecipeError: with all faults.
    """
    wrapped = {"project": "-", "experiment": "-", "name": "-", "recipe": obj}
    return parse_run_spec(wrapped, is_stored=True).recipe


def load_run_file(path: str | Path) -> RunSpec:
    """Read and parse a run description in JSON (``.json``) or YAML.

    Raises:
        RecipeError: the file cannot be read, is malformed (with line and column), or does not
            describe a valid run.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise RecipeError("", f"{file} is larger than {MAX_FILE_BYTES} bytes")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError("", f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError("", f"{file} {not_utf8(error)}") from error
    if not text.strip():
        raise RecipeError("", "The job file is empty.")
    return parse_run_spec(_parse_json(text) if file.suffix == ".json" else _parse_yaml(text))


def _parse_yaml(text: str) -> object:
    try:
        return parse_yaml(text)
    except YamlError as error:
        raise RecipeError("", f"malformed YAML: {error}") from error


def _parse_json(text: str) -> object:
    try:
        return parse_json(text)
    except StrictJsonError as error:
        raise RecipeError("", f"malformed JSON: {error}") from error


def _unstorable(obj: object) -> Iterator[FieldError]:
    """Values that a database or JSON cannot store, or too many values."""
    for fault in storable.faults(obj, max_depth=MAX_DEPTH, max_values=MAX_VALUES):
        field = ".".join(map(str, fault.path))
        match fault.problem:
            case "values" | "depth":
                limit = (
                    f"{MAX_VALUES} values" if fault.problem == "values" else f"{MAX_DEPTH} levels"
                )
                shown = ".".join(map(str, fault.path[:8]))
                yield FieldError(shown, f"a run description may hold at most {limit}")
            case "nul":
                yield FieldError(field.replace("\x00", "\\0"), "may not contain a NUL character")
            case "surrogate":
                yield FieldError(field.encode("ascii", "replace").decode(), "is not valid Unicode")
            case "not-finite":
                yield FieldError(field, "must be a finite number")
            case "key":
                yield FieldError(field, f"field names are text, not {fault.value!r}")
            case "integer" | "type":
                pass  # the field's own type gives a better message


def _field_error(detail: ErrorDetails, obj: Mapping[str, Any]) -> FieldError:
    kind, context = detail["type"], detail.get("ctx", {})
    loc = list(_author_path(detail["loc"], obj, missing=kind == "missing"))
    if kind in ("union_tag_invalid", "union_tag_not_found") and loc[-1] == "architecture":
        return _unknown_architecture(loc, detail["input"])
    if kind in ("union_tag_invalid", "union_tag_not_found") and "stages" not in loc:
        return _unknown_tag(loc, context)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(loc, detail["input"])
    if "field" in context:
        loc += str(context["field"]).split(".")
    field = ".".join(loc)
    if kind == "missing":
        return FieldError(field, "is missing")
    if kind == "extra_forbidden":
        known_fields = _known_fields(loc[:-1], obj)
        return FieldError(field, UNKNOWN_FIELD, nearest(loc[-1], known_fields))
    message, hint = message_of(detail), quotes_hint(detail)
    if kind == "literal_error":
        expected = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        if loc[-1] == "method" and (methods := _methods(loc, obj)):
            expected = ", ".join(methods)
        message = f"must be one of: {expected}"
        hint = nearest(str(detail["input"]), expected.split(", "), show_all=False)
    return FieldError(field, message[:1].lower() + message[1:], hint)


def _methods(loc: list[str], obj: Mapping[str, Any]) -> list[str]:
    """The methods of the stage at a path; none if the path is not that of a stage's option."""
    if loc[:2] != ["recipe", "stages"] or len(loc) != 4:
        return []
    return methods_of(str(obj["recipe"]["stages"][int(loc[2])]["kind"]))


def _author_path(loc: tuple[int | str, ...], obj: object, *, missing: bool) -> Iterator[str]:
    """The fields of a pydantic path, without the tags of unions."""
    here: object = obj
    for number, part in enumerate(loc):
        if isinstance(here, Mapping) and isinstance(part, str):
            if part in here:
                here = here[part]
                yield part
            elif missing and number == len(loc) - 1:
                yield part
        elif isinstance(here, list) and isinstance(part, int):
            here = here[part] if part < len(here) else None
            yield str(part)


def _unknown_architecture(loc: list[str], value: object) -> FieldError:
    name = value.get("name") if isinstance(value, Mapping) else None
    valid = f"one of: {', '.join(ARCHITECTURES)}"
    field = ".".join([*loc, "name"])
    if name is None:
        return FieldError(field, f"is missing: {valid}")
    return FieldError(field, f"must be {valid}", nearest(str(name), ARCHITECTURES, show_all=False))


def _unknown_tag(loc: list[str], context: Mapping[str, Any]) -> FieldError:
    field = ".".join([*loc, str(context["discriminator"]).strip("'")])
    if "tag" not in context:
        return FieldError(field, "is missing")
    valid = str(context["expected_tags"]).replace("'", "")
    return FieldError(
        field,
        f"must be one of: {valid}",
        nearest(context["tag"], valid.split(", "), show_all=False),
    )


def _unknown_kind(loc: list[str], value: object) -> FieldError:
    if not isinstance(value, Mapping):
        return FieldError(".".join(loc), f"a stage is an object of fields, not {_type_name(value)}")
    field = ".".join([*loc, "kind"])
    families = dict.fromkeys(entry.family for entry in REGISTRY.values())
    if "kind" not in value:
        return FieldError(field, "is missing", f"known kinds: {', '.join(families)}")
    kind, _, method = str(value["kind"]).partition("-")
    if kind in families and not method:  # its methods have no default
        valid = ", ".join(methods_of(kind))
        method_field = ".".join([*loc, "method"])
        if "method" not in value:
            return FieldError(method_field, f"is missing: one of {valid}")
        hint = nearest(str(value["method"]), methods_of(kind), show_all=False)
        return FieldError(method_field, f"must be one of: {valid}", hint)
    hint = nearest(str(value["kind"]), families)
    if method in methods_of(kind):
        hint = f"write kind: {kind} and method: {method}"
    return FieldError(field, f"unknown stage kind {value['kind']!r:.100}", hint)


_CLASSES: dict[tuple[str, ...], type[BaseModel]] = {
    (): RunSpec,
    ("resources",): Resources,
    ("recipe",): Recipe,
    ("recipe", "data"): Data,
    ("recipe", "model"): FromScratch,
    ("recipe", "model", "config"): EncoderConfig,
}


def _known_fields(path: list[str], obj: Mapping[str, Any]) -> list[str]:
    """The fields allowed in the object at ``path``."""
    model = _CLASSES.get(tuple(path))
    if model is FromScratch and "run" in obj["recipe"]["model"]:
        model = FromRun
    if path == ["recipe", "model", "architecture"]:
        model = ARCHITECTURES.get(str(obj["recipe"]["model"]["architecture"].get("name")))
    if model is None and path[:2] == ["recipe", "stages"]:
        stage = obj["recipe"]["stages"][int(path[2])]
        entry = entry_of(stage)
        model = None if entry is None else _class_within(entry.params, path[3:])
    return list(model.model_fields) if model else []


def _class_within(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The class of the object at ``path`` inside a stage."""
    for option in path:
        annotation = model.model_fields[option].annotation
        parts = (annotation, *get_args(annotation))
        inner = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        if not inner:
            return None
        model = inner[0]
    return model


def nearest(word: str, valid_words: Iterable[str], *, show_all: bool = True) -> str | None:
    """A hint with the valid word that resembles a word, and all valid words."""
    names = list(valid_words)
    close = difflib.get_close_matches(word, names, n=1)
    meant = f"did you mean '{close[0]}'?" if close else ""
    listing = f"known: {', '.join(names)}" if show_all and names else ""
    return " ".join(part for part in (meant, listing) if part) or None


def _distinct(errors: Iterable[FieldError]) -> list[FieldError]:
    return list(dict.fromkeys(errors))


def _type_name(value: object) -> str:
    names = {list: "a list", str: "text", type(None): "nothing", bool: "true or false"}
    return names.get(type(value), f"a {type(value).__name__}")
