"""What can go wrong with a command as foreseen, in one line for whoever typed it, and its exit code."""

from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from ostiary.crypto.breached import BreachedFileError
from ostiary.crypto.sealed import SealBroken
from ostiary.crypto.secret import SecretError
from ostiary.db import Misconfigured, Unreachable
from ostiary.problems import Problem, Unavailable
from ostiary.settings import SettingsError

REFUSED, WRONG_USAGE, SURROUNDINGS = 1, 2, 3


class Failure(NamedTuple):
    """What is said, and the exit code."""

    line: str
    exit_code: int


def explain(error: Exception) -> Failure | None:
    """Put a failure into words; None for one that nobody foresaw, which is a bug and deserves its traceback."""
    exit_code = SURROUNDINGS
    match error:
        case SettingsError():
            line, exit_code = str(error), WRONG_USAGE
        case Unreachable():
            line = f"The database cannot be used: {error.reason}"
        case Unavailable():
            line = error.detail
        case Problem():
            line, exit_code = error.detail, REFUSED
        case Misconfigured() | SecretError() | BreachedFileError():
            line = str(error)
        case SealBroken():
            line = f"A value in the database cannot be opened: {error}"
        case DBAPIError():
            line = f"The database refuses: {str(error.orig).splitlines()[0]}"
        case FileExistsError() | NotADirectoryError():
            line = f"{error.filename}: a file stands where a directory is needed"
        case OSError():
            line = f"{error.filename or 'The system'}: {error.strerror or error}"
        case _:
            return None
    return Failure(line, exit_code)
