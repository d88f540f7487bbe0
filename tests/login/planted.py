"""`ostiary serve` with something wrong planted in it, in a process of its own: so tests show that they would see it."""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from ostiary import app as composition
from ostiary.context import App
from ostiary.crypto.passwords import StoredPassword, Verification
from tests.server import QUICK_HASHER, Process

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join((str(ROOT), str(ROOT / "src")))
PLANT_SECONDS = 0.002
MOMENT_SECONDS = 0.05


class PlantedProcess(Process):
    """Starts as `Process` does, with a plant: one of the names in PLANTS."""

    def __init__(self, data_dir: Path, plant: str, *, environment: Mapping[str, str]) -> None:
        super().__init__(data_dir, environment={"PYTHONPATH": PATH, "PLANT": plant} | dict(environment))
        self._command = [word.replace("ostiary", "tests.login.planted", word == "ostiary") for word in self._command]


def nothing(_app: App) -> None:
    """Plant nothing: the product as it is."""


def slower_for_known(app: App) -> None:
    """Let verifying take two milliseconds longer where somebody has the address."""
    verify = app.hasher._verify

    def slower(password: str, stored: StoredPassword | None) -> Verification:
        if stored is not None:
            time.sleep(PLANT_SECONDS)
        return verify(password, stored)

    app.hasher._verify = slower  # type: ignore[method-assign]


def hanging(app: App) -> None:
    """Let no verification ever end, and any number wait: what is too slow for that is refused and not counted."""
    app.hasher.close()
    object.__setattr__(app, "hasher", QUICK_HASHER())
    app.hasher._verify = lambda *_: threading.Event().wait()  # type: ignore[method-assign, assignment]


PLANTS: dict[str, Callable[[App], None]] = {
    "nothing": nothing,
    "slower for known": slower_for_known,
    "hanging": hanging,
}


def main() -> None:
    """Run the command with `create_app` planted."""
    create_app, plant = composition.create_app, PLANTS[os.environ.pop("PLANT")]

    def planted(*args: Any, **kwargs: Any) -> FastAPI:
        application = create_app(*args, **kwargs)
        plant(application.state.ostiary)
        return application

    composition.create_app = planted
    from ostiary.cli.main import main as command  # noqa: PLC0415 - takes what was planted above

    sys.argv[0] = "ostiary"
    command()


if __name__ == "__main__":
    main()
