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

    parts, trial = models.install(source)
    placed = [{"path": str(file), "sha256": models.sha256(file)} for file in parts if file]
    if as_json:
        print_json({**placed[0], **({"encoder": placed[1]} if placed[1:] else {}), "trial": trial})
        return
    for file in placed:
        click.echo(f"{file['sha256']}  {file['path']}")
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
        if not isinstance(value, dict):
            click.echo(f"{key:14}{value}")
            continue
        for inner, one in value.items():
            click.echo(f"{key if inner == 'path' else '  ' + inner:14}{one}")
