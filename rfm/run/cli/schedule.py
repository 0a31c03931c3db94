"""The verb that runs by itself: watch."""

from __future__ import annotations

from typing import Annotated

import typer

from rfm.run.cli.chain import run_chain
from rfm.run.cli.console import errors, notes
from rfm.run.cli.options import Engine, LakeUrl, Landing, Remote, Reports, app, settings_of
from rfm.schema import RfmError

Every = Annotated[float, typer.Option("--every", metavar="SECONDS", help="Seconds from one look to the next.", min=1)]


@app.command(epilog="Examples: `rfm watch` · `rfm watch --every 300 --landing s3://shop/daily_sales`")
def watch(
    every: Every = 30,
    landing: Landing = None,
    lake: LakeUrl = None,
    reports: Reports = None,
    engine: Engine = None,
    remote: Remote = None,
) -> None:
    """Run `rfm daily --catch-up` now, and again whenever a new file has landed and stopped growing; Ctrl-C ends it."""
    settings = settings_of(landing=landing, lake=lake, reports=reports, engine=engine, remote=remote)
    from rfm.run.schedule.lock import BusyError
    from rfm.run.schedule.waiting import wait_for_files

    def complain(said: str) -> None:
        errors.print(f"rfm: {said}", markup=False)

    def act() -> bool:
        try:
            run_chain(settings, {}, catching_up=True)
        except BusyError as error:
            complain(str(error))
            return False
        except RfmError as error:
            complain(str(error))
        return True

    notes.print(f"Watching {settings.landing} every {every:g} s (Ctrl-C ends)", markup=False)
    wait_for_files(settings, act, every, complain)
    notes.print("Watched until stopped by hand.")
