"""`ostiary openapi`: the API's description for tools."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ostiary.app import ENDPOINTS
from ostiary.settings import Settings
from ostiary.web.openapi import openapi_document

cli = typer.Typer(add_completion=False)


@cli.command()
def openapi(
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
) -> None:
    """Print the API's OpenAPI document. No server need be running."""
    document = openapi_document(ENDPOINTS, public_url=Settings.load().public_url)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text.encode(), nl=False)
    else:
        output.write_text(text, encoding="utf-8")
