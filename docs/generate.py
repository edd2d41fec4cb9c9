"""Write the reference pages that come from the code: commands, settings, zones and formats.

``python -m docs.generate`` writes ``cli.md``, ``settings.md``, ``zones.md`` and ``formats.md`` in
``docs/reference``; with ``--check`` it only reports which of them are out of date (exit code 1).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from app import cli, demo
from app.settings import Settings
from pricetag import catalog
from pricetag.cli.app import app as client_commands
from pricetag.recipes import REGISTRY
from pricetag.recipes.shapes import FORMAT_FILES
from workers.command import worker

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = Path("docs/reference")
MADE = "<!-- Written by `python -m docs.generate` from the code; do not edit. -->\n"

CLI_HEAD = f"""# Command line

{MADE}
Every command takes `--help`, and `--json` before or after its name where it prints figures. Exit
codes: 0 success, 1 failure, 2 wrong usage, 3 the run failed, 4 the run was canceled, 5 the price
tag was not fully checked, 130 interrupted. Errors are one line on standard error.

"""

SETTINGS_HEAD = f"""# Settings

{MADE}
Settings are environment variables, or the same names in lower case without `PRICETAG_` in
`pricetag.toml` (in the working folder, or at the path in `PRICETAG_CONFIG`). The environment
takes precedence; an empty variable counts as unset; an unknown key in the file is an error. The
file's table `[client]` holds `url`, `token` and `push` of the command line.

"""

ZONES_HEAD = f"""# Grid zones

{MADE}
Annual mean carbon intensities of electricity in the catalog. Sources, basis, license and standard
error of each row are in `pricetag/catalog/data/grid.csv` and `regions.csv`.
[Enter your own](../how-to/factors.md) where you know better.

"""

FORMATS_HEAD = f"""# Methods and formats of models

{MADE}
A compressed model has a format: its modules differ from what its configuration says. Every method
states the formats on which it works; a stage after one that it does not work on is rejected, with
its field, before the run is stored. Every kind also works on pruned weights,
which are zeros in a plain model. Quantized models are final: they can be evaluated and measured,
and every other stage belongs before.

- *sliced*: heads or neurons were cut out (`heads`, `qa`, `group_lasso`, `morphnet`)
- *low rank*: matrices are two factors (`factorize`)
- *shared*, *factorized embedding*: layers share weights, the table of words has two factors
  (`albert`)
- *exits*: classifiers after several layers (`early_exit`)
- *deq*, *reformer*: architectures of models from random weights

A distillation that works on a format may need a student from a folder (`student: {{model: ...}}`),
since none can be made from such a teacher.

"""

VARIABLES = {
    "PRICETAG_CONFIG": "Path of the configuration file.",
    "PRICETAG_URL": "Server of the command line, before `url` in `[client]`. Default: the server "
    "running on this machine.",
    "PRICETAG_TOKEN": "Token of the command line, before `token` in `[client]`.",
    "PRICETAG_PROJECT": "Project of local runs that name none. Default: `local`.",
    "PRICETAG_SLURM_SPOOL": "Folder in which Prolog and Epilog of a Slurm cluster note the jobs of "
    "a node. Default: `/var/spool/pricetag/slurm`.",
    "PRICETAG_PUSH": "Whether local runs are pushed to the server when they end: `on` or `off`, "
    "before `push` (true or false) in `[client]`. Default: off.",
    "PRICETAG_METER_HOST": "Meter of CPU and memory: `auto` (RAPL, else the model), `rapl`, "
    "`model` or `none`.",
    "PRICETAG_POWERCAP_ROOT": "Folder of the RAPL zones. Default: `/sys/class/powercap`.",
    "PRICETAG_GIT_COMMIT": "Commit of the service where there is no checkout, as in an image.",
    "PRICETAG_LOCAL_METER": "Set for programs that a local meter meters, so that `pricetag.repeat` "
    "uses its models.",
    "PRICETAG_EVENTS": "Event socket of a metered program; set by its meter.",
    "PRICETAG_RUN_ID": "ID of the run; set by a worker for programs of `command` stages.",
    "PRICETAG_DATA": "`docker-compose.yml` only: folder of the inputs.",
    "PRICETAG_HOST_SYS": "`docker-compose.yml` only: the host's `/sys`.",
    "PRICETAG_TAG": "`docker-compose.yml` only: tag of the images.",
}


def pages() -> dict[Path, str]:
    """The text of each generated page, by its path from the root of the repository."""
    return {
        REFERENCE / "cli.md": CLI_HEAD + "\n".join(_commands()),
        REFERENCE / "settings.md": SETTINGS_HEAD + "\n".join(_settings()),
        REFERENCE / "zones.md": ZONES_HEAD + "\n".join(_zones()),
        REFERENCE / "formats.md": FORMATS_HEAD + "\n".join(_formats()),
    }


def _zones() -> Iterator[str]:
    yield "| zone | also | place | g CO2e/kWh | year |"
    yield "| --- | --- | --- | ---: | --- |"
    for row in (*catalog.grid_factors(), *catalog.grid_regions()):
        also = f"`{row.alpha2}`" if row.alpha2 else ""
        yield f"| `{row.zone}` | {also} | {row.name} | {row.g_per_kwh:.1f} | {row.year} |"
    with_figure = {row.zone for row in catalog.grid_factors()}
    without = [row.name for row in catalog.countries() if row.zone not in with_figure]
    yield f"\nWithout a figure: {', '.join(without)}.\n"


def _formats() -> Iterator[str]:
    yield f"| kind | {' | '.join(FORMAT_FILES).replace('_', ' ')} | quantized |"
    yield "| --- |" + " :-: |" * (len(FORMAT_FILES) + 1)
    for kind, entry in REGISTRY.items():
        if entry.traits.runs_program:
            continue
        stated = entry.traits.formats or ()
        cells = ["yes" if name in stated else "" for name in FORMAT_FILES]
        cells.append("" if entry.traits.makes_model else "yes")
        yield f"| `{kind}` | {' | '.join(cells)} |"
    yield ""


def _settings() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in Settings.model_fields.items():
        if name != "client":
            yield f"| `PRICETAG_{name.upper()}` | {_setting_default(name, field)} | " + (
                f"{field.description} |"
            )
    yield "\nRead from the environment only:\n"
    yield "| variable | meaning |"
    yield "| --- | --- |"
    for name, meaning in VARIABLES.items():
        yield f"| `{name}` | {meaning} |"
    yield ""


def _setting_default(name: str, field: FieldInfo) -> str:
    if name == "data_dir":
        return "`~/.local/share/pricetag`"
    return _plain(field.default)


def _commands() -> Iterator[str]:
    """Sections of all commands, those of the service instead of their stand-ins."""
    service = typer.Typer()
    service.command("worker")(worker)
    service.command("demo")(demo.demo)
    service.add_typer(cli.commands)
    own: Any = typer.main.get_command(client_commands)
    served: Any = typer.main.get_command(service)
    commands = own.commands | served.commands
    yield "## Options before the command\n"
    yield from _options(own)
    for name in own.list_commands(None):
        yield from _command(f"pricetag {name}", commands[name])


def _command(path: str, command: Any) -> Iterator[str]:
    yield f"## `{path}`\n"
    yield " ".join((command.help or "").split()) + "\n"
    subcommands = getattr(command, "commands", None)
    if subcommands:
        for name, subcommand in subcommands.items():
            yield from _subcommand(f"{path} {name}", subcommand)
        return
    yield from _usage(path, command)


def _subcommand(path: str, command: Any) -> Iterator[str]:
    yield f"### `{path}`\n"
    yield " ".join((command.help or "").split()) + "\n"
    yield from _usage(path, command)


def _usage(path: str, command: Any) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    words = [_argument(param) for param in arguments]
    yield "```text\n" + " ".join([path, *words, "[OPTIONS]"]) + "\n```\n"
    yield from _options(command)
    epilog = getattr(command, "epilog", None)
    if epilog:
        heading, _, examples = epilog.partition(":")
        commands = "\n".join(line.strip() for line in examples.split("\n\n") if line.strip())
        yield f"{heading}:\n\n```bash\n{commands}\n```\n"


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return (name if param.required else f"[{name}]") + ("" if param.nargs == 1 else "...")


def _options(command: Any) -> Iterator[str]:
    shown = [param for param in command.params if not _is_common(param)]
    if not shown:
        return
    yield "| option | default | meaning |"
    yield "| --- | --- | --- |"
    for param in shown:
        yield f"| {_names(param)} | {_default(param)} | {_meaning(param)} |"
    yield ""


def _is_common(param: Any) -> bool:
    return bool({"--install-completion", "--show-completion", "--help"} & set(param.opts))


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.metavar or param.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))


def _meaning(param: Any) -> str:
    text = (getattr(param, "help", None) or "").strip()
    choices = _choices(param.type_descriptor.annotation)
    if choices:
        text += " One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
    return text.replace("|", "\\|").strip()


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a literal, or of one that may be None."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = [choice for part in get_args(annotation) for choice in _choices(part)]
    return tuple(inner)


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if getattr(param, "is_flag", False) and not param.secondary_opts:
        return ""
    return _plain(param.default)


def _plain(value: Any) -> str:
    """A default as one types it; nothing for none."""
    if callable(value) or value is None or value == [] or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Path):
        value = value.relative_to(ROOT) if value.is_relative_to(ROOT) else value
    return f"`{value}`"


def main(arguments: list[str]) -> int:
    """Writes the pages, or checks them."""
    stale = [path for path, text in pages().items() if _read(ROOT / path) != text]
    for path in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path} is out of date: run python -m docs.generate\n")
        else:
            (ROOT / path).write_text(pages()[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
