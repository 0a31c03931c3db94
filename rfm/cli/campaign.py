"""`rfm campaign`: who is written to and who is held out, and whether it helped."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from rfm.cli.options import Json, app, notes, option, print_json, screen, with_settings
from rfm.errors import SettingsError

ACTIONS = ("new", "list", "show", "close")
FORMATS = ("plain", "mailchimp", "klaviyo")


@app.command(
    epilog="Examples: `rfm campaign new spring --state 'at risk' --holdout 20% --out spring.csv` · `rfm campaign list` · "
    "`rfm campaign show spring` · `rfm campaign close spring`"
)
@with_settings("date", "lake")
def campaign(
    settings: Any,
    action: Annotated[str, typer.Argument(metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}.")] = "list",
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the campaign.", show_default=False)] = "",
    segment: Annotated[
        list[str] | None, option("--segment", "NAME", "Only customers of this segment; repeatable.", "all")
    ] = None,
    state: Annotated[list[str] | None, option("--state", "NAME", "Only customers in this state; repeatable.", "all")] = None,
    top: Annotated[int, option("--top", "NUMBER", "Only this many, by the money at stake.", "all", min=0)] = 0,
    holdout: Annotated[str, option("--holdout", "SHARE", "Share of the customers who are not written to.")] = "20%",
    days: Annotated[int, option("--days", "NUMBER", "Days after the run date in which orders count.", min=1, max=366)] = 30,
    again: Annotated[bool, option("--again", None, "Also choose customers who are in a running campaign.")] = False,
    out: Annotated[str, option("--out", "FILE", "Write the customers to write to into this CSV file.")] = "",
    form: Annotated[str, option("--format", "NAME", f"Columns of that file: {', '.join(FORMATS)}.")] = FORMATS[0],
    contacts: Annotated[str, option("--contacts", "FILE", "CSV with CustomerID, Email and more; only these are chosen.")] = "",
    as_json: Json = False,
) -> None:
    """Write to some customers, hold others out at random, and see whether it helped.

    `new` draws both groups from the tables of the run date and keeps them. Each later run counts their orders; the difference,
    with its interval, is shown once the days are over. `show` says what is known, and with --out writes the list again.
    `close` ends a campaign. `--json` prints the `campaigns` with their newest `results`.
    """
    _check_words(action, name, form, out)
    from rfm.lake import open_lake_log
    from rfm.pipeline import campaigns
    from rfm.pipeline.schedule import locked

    if out:
        campaigns.check_export(form, contacts)
    lake = open_lake_log(settings, "`rfm campaign`")
    with locked(settings, "`rfm campaign`") if action in ("new", "close") else nullcontext():
        if action == "new":
            choice = campaigns.Choice(tuple(segment or ()), tuple(state or ()), top, again, contacts)
            screen.print(campaigns.new(settings, lake, name, choice, _share(holdout), days), markup=False)
        elif action == "close":
            campaigns.close(lake, name)
    about = campaigns.listed(lake, name)
    if out:
        written = campaigns.export(lake, name, out, form, contacts)
        notes.print(f"{written:,} customers to write to: {out}", markup=False)
    if as_json:
        print_json({"campaigns": about})
    elif action != "new":
        screen.print(*(line for one in about for line in campaigns.described(lake, one, settings)), sep="\n", markup=False)


def _check_words(action: str, name: str, form: str, out: str) -> None:
    """Raise SettingsError for words that do not fit together."""
    if action not in ACTIONS or form not in FORMATS:
        wrong, known = (action, ACTIONS) if action not in ACTIONS else (form, FORMATS)
        raise SettingsError(f"{wrong}: is none of {', '.join(known)}")
    if bool(name) != (action != "list") or (out and not name):
        raise SettingsError(f"campaign {action}: {'takes no' if name else 'needs a'} NAME")


def _share(text: str) -> float:
    """Return a share given as 20% or 0.2."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise SettingsError(f"--holdout {text!r}: is no share; write it as 20% or 0.2")
    return value
