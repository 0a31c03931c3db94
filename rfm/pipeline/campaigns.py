"""Campaigns: draw and keep both arms, export the list of those to write to, measure the uplift of each run.

Who is drawn is known only in the tables of the run date, so a campaign starts on the newest one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rfm.analysis import experiments
from rfm.analysis.experiments import HELD, WRITTEN
from rfm.analysis.forecast import expected_within
from rfm.analysis.formatting import escape_formulas
from rfm.analysis.metrics import collected_purchases
from rfm.contracts import CAMPAIGN_MEMBERS, CAMPAIGN_RESULTS, CAMPAIGNS, CUSTOMER_STATES, SILVER, TABLES, typed_rows
from rfm.errors import InputError, SettingsError, friendly_io_errors, unknown
from rfm.lake import Lake
from rfm.settings import Settings

ID, ADDRESS = "CustomerID", "Email"
FORMATS = {  # of an exported list: our column, and what the program calls it
    "plain": {ID: "customer_id", "Segment": "segment", "State": "state", "Action": "action"},
    "mailchimp": {ADDRESS: "Email Address", ID: "CUSTOMERID", "Segment": "TAGS"},
    "klaviyo": {ADDRESS: "Email", ID: "External ID", "Segment": "Segment", "State": "State"},
}
NAME = 60  # characters of a campaign's name


class Choice(NamedTuple):
    """Who is chosen: segments and states (none: all), the first `top` by money at stake, and who has an address in a file."""

    segments: Sequence[str] = ()
    states: Sequence[str] = ()
    top: int = 0
    again: bool = False  # also who is in a running campaign
    contacts: str = ""

    def __str__(self) -> str:
        """Return the choice as options of the command."""
        given = [f"--segment '{one}'" for one in self.segments] + [f"--state '{one}'" for one in self.states]
        return " ".join([*given, *([f"--top {self.top}"] if self.top else []), *(["--again"] if self.again else [])])


def new(settings: Settings, lake: Lake, name: str, choice: Choice, holdout: float, days: int) -> str:
    """Draw the arms of a new campaign and keep them in the lake; return what such a list can find, in words."""
    if not 0 < len(name.strip()) <= NAME:
        raise SettingsError(f"NAME: has {len(name.strip())} characters; give 1 to {NAME}")
    if name in set(lake.frame(CAMPAIGNS)["Campaign"]):
        raise SettingsError(f"{name}: there is such a campaign; give another name, or see `rfm campaign show`")
    states = lake.frame(CUSTOMER_STATES)
    if states.empty:
        raise InputError(f"{CUSTOMER_STATES}: holds no customer yet; run `rfm daily` first")
    start = states["UpdateDate"].iloc[0]
    if settings.date not in (None, start):
        raise SettingsError(f"--date {settings.date}: the tables hold {start}; run `rfm daily --date {settings.date}` first")
    if choice.contacts:
        known = _contacts(choice.contacts)
        states = states[states[ID].isin(known.loc[known.get(ADDRESS, known[ID]) != "", ID])]
    drawn = _expected(lake, settings, chosen(states, choice, running_members(lake)), start, days)
    drawn["Arm"] = experiments.draw_arms(drawn, holdout, f"{name}\0{start}")
    members = drawn.assign(Campaign=name)[TABLES[CAMPAIGN_MEMBERS].names]
    arms = members["Arm"].value_counts()
    about = {
        **{"Campaign": name, "Start": start, "Ends": start + dt.timedelta(days=days), "Holdout": holdout, "Closed": None},
        **{"Selection": str(choice), "Customers": len(members), "Expected": float(members["OrderExpected"].mean())},
        "Smallest": min(experiments.smallest_effect(members["OrderExpected"], int(arms[WRITTEN]), int(arms[HELD])), 1.0),
    }
    lake.replace(CAMPAIGN_MEMBERS, members, Campaign=name)
    # last: a campaign that is listed has its members
    lake.replace(CAMPAIGNS, typed_rows(TABLES[CAMPAIGNS], [about]), Campaign=name)
    return experiments.before_the_start(about, arms.to_dict())


def chosen(states: pd.DataFrame, choice: Choice, taken: set[str]) -> pd.DataFrame:
    """Return the customers of a choice, those with most money at stake first, without those in a running campaign."""
    for option, wanted, column in (("--segment", choice.segments, "Segment"), ("--state", choice.states, "State")):
        if strange := set(wanted) - set(states[column]):
            raise SettingsError(f"{option}: {unknown(column.lower(), sorted(strange), sorted(set(states[column])))}")
        states = states[states[column].isin(wanted)] if wanted else states
    free = states if choice.again else states[~states[ID].isin(taken)]
    if free.empty:
        busy = f"; {len(states):,} more are in a running campaign, see --again" if len(states) else ""
        raise InputError(f"0 customers are chosen{busy}")
    free = free.sort_values(["AtStake", ID], ascending=[False, True])
    return free.head(choice.top) if choice.top else free


def running_members(lake: Lake) -> set[str]:
    """Return the customers of all campaigns that are not closed."""
    every = lake.frame(CAMPAIGNS)
    running = every.loc[every["Closed"].isna(), "Campaign"].tolist()
    return set(lake.frame(CAMPAIGN_MEMBERS, Campaign=running)[ID]) if running else set()


def _expected(lake: Lake, settings: Settings, customers: pd.DataFrame, start: dt.date, days: int) -> pd.DataFrame:
    """Return CustomerID, OrderExpected and SpendExpected of customers for a window; without a forecast, what is usual."""
    pattern = settings.rules.stock_code_pattern
    bought = collected_purchases(lake.read(SILVER, until=start), start, stock_code_pattern=pattern)
    forecast = expected_within(bought, start, days)
    if len(forecast):
        return forecast.set_index(ID).loc[customers[ID]].reset_index()
    spend = customers["UsualSpend"].to_numpy(float) * days / 90
    usual = _usual_share(bought, start, days)
    return pd.DataFrame({ID: customers[ID].to_numpy(), "OrderExpected": usual, "SpendExpected": spend.round(2)})


def _usual_share(bought: pd.DataFrame, start: dt.date, days: int) -> float:
    """Return the share of the customers of an earlier day who ordered in a window as long that ended with the start."""
    before = start - dt.timedelta(days=days)
    earlier = bought.loc[pd.to_datetime(bought["InvoiceDate"]) <= pd.Timestamp(before), [ID]].drop_duplicates()
    return float(experiments.outcomes(earlier, bought, before, start)["Bought"].mean()) if len(earlier) else 0.0


# ── measure ────────────────────────────────────────────────────────────
def begun_by(lake: Lake, run_date: dt.date) -> pd.DataFrame:
    """Return the campaigns that have begun before a day and are not closed."""
    every = lake.frame(CAMPAIGNS)
    return every[(every["Start"] < run_date) & (every["Closed"].isna() | (every["Closed"] > run_date))]


def measure(lake: Lake, bought: pd.DataFrame, run_date: dt.date) -> int:
    """Measure the campaigns that have begun and are not closed; write their results of a run and return their number."""
    begun = begun_by(lake, run_date)
    if begun.empty:
        return 0
    members = lake.frame(CAMPAIGN_MEMBERS, Campaign=begun["Campaign"].tolist())
    found: list[dict[str, Any]] = []
    for about in begun.to_dict("records"):
        over, own = run_date >= about["Ends"], members[members["Campaign"] == about["Campaign"]]
        happened = experiments.outcomes(own, bought, about["Start"], min(run_date, about["Ends"]))
        # looked at every day, chance alone would show an effect on some day
        withheld = {} if over else dict.fromkeys(("Uplift", "Low", "High"))
        key = {"Campaign": about["Campaign"], "UpdateDate": run_date}
        found += [row | key | withheld for row in experiments.uplift(happened).to_dict("records")]
    lake.replace(CAMPAIGN_RESULTS, typed_rows(TABLES[CAMPAIGN_RESULTS], found), UpdateDate=run_date)
    return len(begun)


def close(lake: Lake, name: str) -> None:
    """End a campaign: from the newest run date on it is no longer measured, and its customers are free for others."""
    (about,), newest = listed(lake, name), lake.frame(CUSTOMER_STATES)["UpdateDate"].max()
    del about["Results"]
    lake.replace(CAMPAIGNS, typed_rows(TABLES[CAMPAIGNS], [about | {"Closed": newest}]), Campaign=name)


def listed(lake: Lake, name: str = "") -> list[dict[str, Any]]:
    """Return all campaigns, or the one of a name, oldest first, each with its newest Results; InputError for no such name."""
    every = lake.frame(CAMPAIGNS).sort_values(["Start", "Campaign"])
    wanted = every[every["Campaign"] == name] if name else every
    if name and wanted.empty:
        raise InputError(f"{name}: there is no such campaign; `rfm campaign list` shows {len(every)}")
    return experiments.with_results(wanted, lake.frame(CAMPAIGN_RESULTS))


def described(lake: Lake, about: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a campaign and what is known of it, in lines."""
    arms = lake.frame(CAMPAIGN_MEMBERS, Campaign=about["Campaign"])["Arm"].value_counts().to_dict()
    head = f"{about['Campaign']}: {experiments.window(about)}; {about['Selection'] or 'all customers'}"
    said = [experiments.before_the_start(about, arms), *experiments.result_in_words(about, arms[WRITTEN], settings.shop.currency)]
    return [head, *(f"  {line}" for line in said)]


# ── the list ────────────────────────────────────────────────────────────
def export(lake: Lake, name: str, out: str, form: str, contacts: str = "") -> int:
    """Write the customers to write to into a CSV file, in the columns of a mail program; return their number."""
    wanted = FORMATS[form]
    check_export(form, contacts)
    members = lake.frame(CAMPAIGN_MEMBERS, Campaign=name)
    rows = members[members["Arm"] == WRITTEN].merge(lake.frame(CUSTOMER_STATES), on=ID, how="left")
    if contacts:
        known = _contacts(contacts)
        rows = rows.merge(known, on=ID, how="inner" if ADDRESS in wanted else "left", suffixes=("", " (contacts)"))
        wanted = wanted | {column: column for column in known if column in rows and column not in wanted}
    with friendly_io_errors(f"{out}: cannot be written", "name another file"):
        escape_formulas(rows[list(wanted)].rename(columns=wanted)).to_csv(out, index=False, encoding="utf-8")
    return len(rows)


def check_export(form: str, contacts: str) -> None:
    """Raise SettingsError for a mail program's format without addresses."""
    if ADDRESS in FORMATS[form] and not contacts:
        raise SettingsError(
            f"--format {form}: needs an address per customer; give --contacts FILE with columns {ID} and {ADDRESS}"
        )


def _contacts(path: str) -> pd.DataFrame:
    """Return the shop's own file of contacts: CustomerID, and any further columns, as text."""
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{Path(path).name}: cannot be read as CSV ({type(error).__name__}); save it as UTF-8") from None
    if ID not in found.columns:
        raise InputError(f"{Path(path).name}: has no column {ID}; it has {len(found.columns)} others")
    return found.drop_duplicates(ID)
