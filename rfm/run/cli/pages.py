"""The verbs for the site: report."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

import rfm
from rfm.run.cli.options import Date, LakeUrl, Reports, app, screen

Port = Annotated[int, typer.Option("--port", help="Where on this computer; any free one if 0.", min=0, max=65535)]


@app.command(epilog="Examples: `rfm report` · `rfm report --date 2025-10-22`")
def report(date: Date = None, lake: LakeUrl = None, reports: Reports = None) -> None:
    """Make the pages of a published day again, from its tables as they were; the newest day if none is given."""
    settings = rfm.load_settings(date=date, lake=lake, reports=reports)
    from rfm.run import site

    screen.print(f"Report: {site.rebuild(settings, settings.date)}", markup=False)


@app.command(epilog="Examples: `rfm serve` · `rfm serve --port 9000`")
def serve(port: Port = 8765, reports: Reports = None) -> None:
    """Show the published reports in a browser on this computer, and the next run as soon as it lands; Ctrl-C ends it."""
    from rfm.run.serve import server

    with server(rfm.load_settings(reports=reports).reports, port) as running, suppress(KeyboardInterrupt):
        screen.print(f"Reports: http://127.0.0.1:{running.server_port}/ (Ctrl-C ends)", markup=False)
        running.serve_forever()
    screen.print("Served until stopped by hand.")
