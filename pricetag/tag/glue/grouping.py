"""Rows of the table: each has the models made from one model by one method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pricetag.recipes.glue import GlueTask
from pricetag.tag.glue.runs import Made, Start

Setting = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Entry:
    """A scored model of one run.

    Attributes:
        task: The task of the run.
        start: The model that the run starts from.
        made: The model.
    """

    task: GlueTask
    start: Start
    made: Made

    @property
    def chain(self) -> tuple[Made, ...]:
        """The model, and those of earlier runs that it was made from, in order."""
        return (*self.start.made, self.made)

    @property
    def key(self) -> object:
        """Equal for models made from one model by one method."""
        methods = [(m.kind, *sorted(m.options.items())) for c in self.chain for m in c.methods]
        return (self.start.identity, *methods)

    @property
    def config(self) -> dict[str, str]:
        """All options of the stages that made it, by their number and name."""
        methods = [method for model in self.chain for method in model.methods]
        return {
            f"{number}.{name}": value
            for number, method in enumerate(methods)
            for name, value in method.config.items()
        }

    @property
    def label(self) -> str:
        """The model that no run made, and the methods that changed it."""
        methods = [str(method) for model in self.chain for method in model.methods]
        return f"{self.start.name}: {', '.join(methods) or 'as submitted'}"


def settings(group: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """A group of runs, split by setting if runs on one task have several."""
    by_task: dict[str, set[Setting]] = defaultdict(set)
    by_setting: dict[Setting, list[Entry]] = defaultdict(list)
    for entry in group:
        setting = tuple(sorted(entry.config.items()))
        by_task[entry.task.name].add(setting)
        by_setting[setting].append(entry)
    label = group[0].label
    if all(len(settings) == 1 for settings in by_task.values()):
        return [(label, list(group))]
    values: dict[str, set[str | None]] = defaultdict(set)
    for setting in by_setting:
        for name in {name for other in by_setting for name, _ in other}:
            values[name].add(dict(setting).get(name))
    differing = sorted(name for name, several in values.items() if len(several) > 1)
    return [
        (f"{label}; {_differences(dict(setting), differing)}", entries)
        for setting, entries in by_setting.items()
    ]


def _differences(setting: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{n.partition('.')[2]} {setting.get(n, 'default')}" for n in names)


def distinct(named: Sequence[tuple[str, list[Entry]]]) -> list[tuple[str, list[Entry]]]:
    """Labels, numbered where two rows would have the same one."""
    seen: dict[str, int] = defaultdict(int)
    labeled = []
    for label, entries in named:
        seen[label] += 1
        labeled.append((f"{label} ({seen[label]})" if seen[label] > 1 else label, entries))
    return labeled
