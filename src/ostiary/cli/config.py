"""`ostiary config`: the settings in force."""

from dataclasses import asdict
from itertools import groupby

import typer

from ostiary.cli.options import AsJSON, DatabaseURL, DataDir
from ostiary.cli.output import print_json, print_settings
from ostiary.settings import Settings, describe

cli = typer.Typer(add_completion=False)


@cli.command()
def config(as_json: AsJSON = False, data_dir: DataDir = None, database_url: DatabaseURL = None) -> None:
    """Print every setting: its value, where it came from, its default and its meaning. Secrets are masked."""
    settings = describe(Settings.load(data_dir=data_dir, database_url=database_url))
    if as_json:
        print_json([asdict(setting) for setting in settings])
        return
    for topic, group in groupby(settings, key=lambda setting: setting.topic):
        print_settings(topic, group)
