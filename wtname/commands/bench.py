"""`wtname bench`: how long a name takes."""

from __future__ import annotations

import click

from wtname.commands.shared import json_option, model_option, print_json


@click.command()
@click.option("--n", "-n", type=click.IntRange(1), default=50, show_default=True, help="Names in one process.")
@click.option("--cold", type=click.IntRange(0), default=20, show_default=True, help="Whole processes.")
@json_option
@model_option
def bench(n: int, cold: int, as_json: bool, model: str | None) -> None:
    """Measure how long a name takes, model loaded and cold."""
    from wtname import bench, models

    report = bench.run(models.find(model), n, cold)
    if as_json:
        print_json(report)
    else:
        click.echo(bench.table(report))
