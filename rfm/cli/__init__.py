"""The `rfm` command; every verb calls one function. Exit status 0 done, 1 a run failed, 2 wrong use, 130 Ctrl-C."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from rfm.cli import data, run, status
from rfm.cli.options import app, errors, notes, screen, spell_unknown_characters
from rfm.errors import RfmError, in_words

__all__ = ["app", "data", "errors", "main", "notes", "run", "screen", "status"]

STOPPED = 130  # exit status after Ctrl-C
UsageError: Any = typer.BadParameter.__base__  # of click, or of the copy of click in newer versions of typer


def main() -> None:
    """Run the command line; report an error in one line, without a traceback."""
    # modules leave no garbage, and looking for it takes a fifth of the time of their import
    gc.set_threshold(50_000)
    started = time.monotonic()
    spell_unknown_characters()
    with _errors_in_one_line():
        status = app(sys.argv[1:] or ["--help"], prog_name="rfm", standalone_mode=False)
        if status == STOPPED:  # typer turns Ctrl-C into a status
            raise KeyboardInterrupt
        notes.detail(f"{time.monotonic() - started:.1f} s in total")
        sys.exit(status)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Turn an error that a user can cause into one line and an exit status."""
    try:
        yield
    except RfmError as error:
        lines = [f"rfm: {error}", *getattr(error, "__notes__", ())]
        errors.print(*lines, sep="\n", markup=False)
        sys.exit(error.exit_status)
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "rfm"
        errors.print(f"rfm: {error.format_message().rstrip('.')}; see `{command} --help`", markup=False)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        errors.print("rfm: stopped with Ctrl-C; run the same day again to finish it")
        sys.exit(STOPPED)
    except SystemExit:
        raise
    except BaseException as error:  # also what a library written in Rust raises
        if not (said := in_words(error)):  # a defect of the program
            raise
        place = f"{error.filename}: " if isinstance(error, OSError) and isinstance(error.filename, str) else ""
        errors.print(f"rfm: {place}{said}", markup=False)
        sys.exit(1)
