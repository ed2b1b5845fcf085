"""`wtname model`: find, install and describe the model."""

from __future__ import annotations

import click

from wtname.commands.shared import json_option, model_option, print_json, print_path, say


@click.group()
def model() -> None:
    """Find, install and describe the model."""


@model.command("path")
@model_option
def model_path(model: str | None) -> None:
    """Print where the model is that would be used."""
    from wtname import models

    print_path(models.existing(model).path)


@model.command("install")
@click.argument("source", metavar="[FILE|DIR]", required=False)
@json_option
def model_install(source: str | None, as_json: bool) -> None:
    """Install a model for this user, once it has proved that it names branches. Without FILE or DIR: the
    model that came with wtname."""
    from wtname import models

    place, trial = models.install(source)
    digest = models.sha256(place)
    if as_json:
        print_json({"path": str(place), "sha256": digest, "trial": trial})
        return
    click.echo(f"{digest}  {place}")
    say(f"it named {models.TRIAL!r}: {trial}")


@model.command("info")
@json_option
@model_option
def model_info(as_json: bool, model: str | None) -> None:
    """Describe the model that would be used."""
    from wtname import models

    facts = models.facts(models.existing(model))
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        click.echo(f"{key:14}{value}")
