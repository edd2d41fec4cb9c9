"""Safe YAML parser with limits, without the surprises of YAML 1.1."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BASE: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_FLOAT = "tag:yaml.org,2002:float"
_INT = "tag:yaml.org,2002:int"
_BOOL = "tag:yaml.org,2002:bool"
# Merging mappings by `<<` can blow a small text up without bound.
_MERGE = "tag:yaml.org,2002:merge"
_VALUE = "tag:yaml.org,2002:value"
_CHANGED = {_TIMESTAMP, _FLOAT, _INT, _BOOL, _MERGE, _VALUE}


MAX_DEPTH = 40
MAX_EVENTS = 50_000


class YamlError(ValueError):
    """The text is not valid YAML; the message states line and column, from 1."""


class _Loader(_BASE):  # type: ignore[misc]
    """Dates stay text, `1e-4` is a number, `no` and `1:30` are text, no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        result: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            keys.add(key)
        return result


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _CHANGED]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")
_Loader.add_implicit_resolver(_INT, re.compile(r"^[-+]?[0-9]+$"), "-+0123456789")
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    "-+.0123456789",
)


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _number(loader: Any, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor(_INT, _integer)
_Loader.add_constructor(_FLOAT, _number)


def parse_yaml(text: str) -> object:
    """One YAML document as plain data.

    Raises:
        YamlError: If it is malformed, with line and column.
    """
    try:
        _bound(text)
        return yaml.load(text, Loader=_Loader)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        if mark and _is_indented_with_tab(text, mark.line):
            where = f"line {mark.line + 1} is indented with a tab"
            raise YamlError(f"{where}: YAML allows only spaces there") from error
        raise YamlError(f"{error.problem or error.context}{where}") from error
    except yaml.reader.ReaderError as error:
        raise YamlError(f"{error.reason} at character {error.position}") from error
    except RecursionError as error:
        raise YamlError("it nests too deeply") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise YamlError(str(error)) from error


_INDENT = re.compile(r"[ \t]*")
# The line breaks of YAML 1.1, by which its marks count lines.
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def _is_indented_with_tab(text: str, line: int) -> bool:
    lines = _BREAK.split(text)
    indent = _INDENT.match(lines[line]) if line < len(lines) else None
    return indent is not None and "\t" in indent[0]


def _bound(text: str) -> None:
    # libyaml composes nodes recursively in C: without this check, a body of brackets would
    # overflow the stack and crash the server. Events are produced one by one.
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise YamlError(f"it nests deeper than {MAX_DEPTH} levels")
        if count > MAX_EVENTS:
            raise YamlError(f"it holds more than {MAX_EVENTS} events")
