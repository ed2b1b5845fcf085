"""`wtname doctor`: what is wrong, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wtname.commands.shared import folder_option, json_option, model_option, print_json


@click.command()
@click.option("--repair", is_flag=True, help="Put in order what killed commands left in the repository, no more.")
@folder_option
@json_option
@model_option
def doctor(repair: bool, cwd: Path | None, as_json: bool, model: str | None) -> None:
    """Say what is wrong, if anything, and what to do about it.

    It checks git, Python, the engine, the model, the log, and the repository with its settings, commands, hook and
    journal.
    """
    from wtname import doctor

    report = []
    for check in doctor.repair(cwd) if repair else doctor.checks(model, cwd):
        report.append(check)
        if not as_json:
            click.echo(doctor.line(check))
    if as_json:
        print_json([check._asdict() for check in report])
    if any(check.status == "fail" for check in report):
        sys.exit(1)
