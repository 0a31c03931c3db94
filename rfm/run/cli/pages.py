"""The verbs for the site: report, publish, serve."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from rfm.run.cli.console import notes, screen
from rfm.run.cli.options import Date, Engine, LakeUrl, Remote, Reports, app, settings_of

Port = Annotated[
    int, typer.Option("--port", metavar="NUMBER", help="Where on this computer; any free one if 0.", min=0, max=65535)
]


@app.command(epilog="Examples: `rfm report` · `rfm report --date 2025-10-22`")
def report(
    date: Date = None, lake: LakeUrl = None, reports: Reports = None, engine: Engine = None, remote: Remote = None
) -> None:
    """Make the pages of a published day again, from its tables as they were; the newest day if none is given."""
    settings = settings_of(date=date, lake=lake, reports=reports, engine=engine, remote=remote)
    with notes.status("making the pages"):
        from rfm.run import site
        from rfm.run.schedule.lock import locked

        with locked(settings, "`rfm report`"):
            made = site.rebuild(settings, settings.date)
    screen.print(f"Report: {made}", markup=False)


@app.command(epilog="Examples: `rfm publish s3://shop/site` · `rfm publish ../pages`")
def publish(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Folder or URL to send the site to: s3://…, a folder of GitHub Pages …")
    ],
    reports: Reports = None,
    lake: LakeUrl = None,
) -> None:
    """Send the reports to where others read them: only what changed, and no single customer unless [publish] says so."""
    settings = settings_of(reports=reports, lake=lake)
    with notes.status("sending what changed"):
        from rfm.run.publish import publish as send
        from rfm.run.schedule.lock import locked
        from rfm.settings import absolute

        with locked(settings, "`rfm publish`"):
            done = send(settings.reports, absolute(url), settings.publish)
    told = f"{len(done.sent):,} files sent ({done.size / 1e6:,.1f} MB), {done.seen - len(done.sent):,} as they were"
    told += f", {len(done.removed):,} removed" if done.removed else ""
    kept = {(False, False): "customers stayed at home", (True, True): "customer ids hashed, notebooks stayed at home"}
    screen.print(
        f"Published {done.address}: {told}; {kept.get(tuple(settings.publish.model_dump().values()), 'with all customers')}",
        markup=False,
    )


@app.command(epilog="Examples: `rfm serve` · `rfm serve --port 9000`")
def serve(port: Port = 8765, reports: Reports = None) -> None:
    """Show the published reports in a browser on this computer, and the next run as soon as it lands; Ctrl-C ends it."""
    from rfm.run.serve import server

    with server(settings_of(reports=reports).reports, port) as running, suppress(KeyboardInterrupt):
        screen.print(f"Reports: http://127.0.0.1:{running.server_port}/ (Ctrl-C ends)", markup=False)
        running.serve_forever()
    screen.print("Served until stopped by hand.")
