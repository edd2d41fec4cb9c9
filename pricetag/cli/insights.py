"""Commands about several runs together: the frontier, curves of searches, the cost of a result."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.options import Json, open_client
from pricetag.tag.axes import Axis, Spending

Project = Annotated[str | None, typer.Option(help="Use only runs of this project.")]
Experiment = Annotated[str | None, typer.Option(help="Use only runs of this experiment.")]
Tags = Annotated[
    list[str] | None,
    typer.Option(help="Use only runs with this tag (repeatable: with all of the tags)."),
]
Quality = Annotated[
    str | None, typer.Option(help="Metric of the score. Default: the one that most runs have.")
]
Split = Annotated[
    str | None, typer.Option(help="Split of the score. Default: the one that most runs have.")
]
Newest = Annotated[
    int, typer.Option(min=1, max=200, help="Maximum number of ended runs, newest first.")
]

insights = typer.Typer(
    name="insights",
    no_args_is_help=True,
    help="Show several runs together: quality against cost, curves of searches, cost of a result.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(insights)


@insights.command("frontier", epilog="Example: pricetag insights frontier --project reviews")
def frontier(
    ctx: typer.Context,
    metric: Annotated[Axis, typer.Option(help="Cost to set quality against.")] = "it_energy_kwh",
    project: Project = None,
    experiment: Experiment = None,
    tag: Tags = None,
    quality: Quality = None,
    split: Split = None,
    limit: Newest = 100,
    json: Json = False,
) -> None:
    """Show the runs that no other run beats, with the price of each further unit of quality."""
    from pricetag.cli.views.insights import frontier_view

    filters = _filters(project, experiment, tag, quality, split, limit)
    with open_client(ctx) as client:
        result = client.frontier(metric=metric, **filters)
    answer(ctx, json, result, frontier_view)


@insights.command("curves", epilog="Example: pricetag insights curves --method a --method b")
def curves(
    ctx: typer.Context,
    metric: Annotated[Spending, typer.Option(help="Cost of the trials.")] = "it_energy_kwh",
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Tag of the runs of a method (repeatable). Default: runs with the same stage "
            "kinds are one method."
        ),
    ] = None,
    with_replacement: Annotated[
        bool,
        typer.Option(
            "--with-replacement",
            help="Use the estimator of Dodge et al. 2019, which is biased downwards. Default: the "
            "unbiased one of Tang et al. 2020.",
        ),
    ] = False,
    project: Project = None,
    experiment: Experiment = None,
    tag: Tags = None,
    quality: Quality = None,
    split: Split = None,
    limit: Newest = 100,
    json: Json = False,
) -> None:
    """Show the expected best score of k trials of each method, and which is better at which cost.

    A method needs five runs with the score. Nothing is extrapolated beyond its trials.
    """
    from pricetag.cli.views.insights import curves_view

    filters = _filters(project, experiment, tag, quality, split, limit)
    with open_client(ctx) as client:
        result = client.expected_validation(
            metric=metric, method=method, with_replacement=with_replacement, **filters
        )
    answer(ctx, json, result, curves_view)


@insights.command("cost", epilog="Example: pricetag insights cost --project reviews")
def cost(
    ctx: typer.Context,
    equivalents: Annotated[
        bool,
        typer.Option(
            "--equivalents", help="Compare the emissions with well-known ones, such as a flight."
        ),
    ] = False,
    project: Project = None,
    experiment: Experiment = None,
    tag: Tags = None,
    quality: Quality = None,
    split: Split = None,
    limit: Newest = 100,
    json: Json = False,
) -> None:
    """Show what the best result cost: its model, its tuning, and all runs.

    The tuning consists of all runs with the same stage kinds as the best one.
    """
    from pricetag.cli.views.insights import cost_view

    filters = _filters(project, experiment, tag, quality, split, limit)
    with open_client(ctx) as client:
        result = client.research_cost(equivalents=equivalents, **filters)
    answer(ctx, json, result, cost_view)


def _filters(
    project: str | None,
    experiment: str | None,
    tag: list[str] | None,
    quality: str | None,
    split: str | None,
    limit: int,
) -> dict[str, Any]:
    named = {"project": project, "experiment": experiment, "quality": quality, "split": split}
    return {**named, "tag": tag, "limit": limit}
