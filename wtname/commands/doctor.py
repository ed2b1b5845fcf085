"""`wtname doctor`: what is wrong, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wtname.commands.shared import folder_option, json_option, model_option, print_json


@click.command()
@folder_option
@json_option
@model_option
def doctor(cwd: Path | None, as_json: bool, model: str | None) -> None:
    """Check git, Python, the engine, the model, the log and the repository; say what to do about each fault."""
    from wtname import doctor

    report = []
    for check in doctor.checks(model, cwd):
        report.append(check)
        if not as_json:
            click.echo(doctor.line(check))
    if as_json:
        print_json([check._asdict() for check in report])
    if any(check.status == "fail" for check in report):
        sys.exit(1)
