"""Judge made shops as a new user would: `rfm init exports --yes`, then a run of the last day, compared with the truth.

python -m tests.onboarding.judge FIRST LAST    # prints a line per seed, then which features go with each verdict
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from rfm.analysis.quality import gate
from rfm.cli.options import app
from rfm.contracts import GOLD, QUARANTINE, SILVER
from rfm.errors import InputError, RfmError
from rfm.lake import open_lake
from rfm.pipeline import backfill, stages
from rfm.settings import SHOP_FILE, Settings, load_settings
from tests.onboarding.shop_orders import Customer, Shop, plain
from tests.onboarding.shop_spec import PLAIN, Spec, described, features, sensible
from tests.onboarding.shops import make, write

FINDING = re.compile(r"^ *[!?✗] ", re.MULTILINE)  # what `rfm init` marks as a doubt, a question, or a reason to refuse
VERDICTS = ("right", "asked", "warned", "refused", "SILENT", "BROKEN")  # asked: where no reading of the files is certain


class Judged(NamedTuple):
    """The verdict on a shop, what differs, and what `rfm init` said about it."""

    spec: Spec
    verdict: str
    differs: str
    said: str

    def __str__(self) -> str:
        return f"{self.verdict:8} {described(self.spec)}\n{'':9}{self.differs}"


def gold_of(settings: Settings, day: dt.date) -> list[dict[str, Any]]:
    """Run the stages up to gold, without the quality tables and clusters, which cost more than the rest."""
    lake = open_lake(settings)
    if refused := stages.ingest_files(lake, settings, day).refused:
        raise InputError("; ".join(refused))
    stages.clean_files(lake, settings)
    kept, dropped = (lake.state((name,))[name].rows for name in (SILVER, QUARANTINE))
    dropped -= gate.set_aside(lake.read(QUARANTINE))  # titles, totals
    if dropped > settings.rules.max_dropped_share * (kept + dropped):
        raise InputError(f"{dropped} of {kept + dropped} lines dropped, more than max_dropped_share")
    return stages.customer_metrics(lake.read(SILVER, until=dt.date.max), settings, day).collect().to_dicts()


def backfilled(settings: Settings, day: dt.date) -> list[dict[str, Any]]:
    """Run all stages, as `rfm backfill` does."""
    list(backfill.backfill(settings, day, day))
    return open_lake(settings).read(GOLD).collect().to_dicts()


def judge(shop: Shop, run: Callable[[Settings, dt.date], list[dict[str, Any]]] = gold_of) -> Judged:
    """Return the verdict on a shop."""
    refused, warned = ("asked", "asked") if shop.spec.ambiguous else ("refused", "warned")
    with tempfile.TemporaryDirectory() as home, contextlib.chdir(home):
        write(shop, Path("exports"))
        shown = CliRunner().invoke(app, ["init", "exports", "--yes"], env={"NO_COLOR": "1", "COLUMNS": "200"})
        if shown.exception and not isinstance(shown.exception, (SystemExit, RfmError)):
            return Judged(shop.spec, "BROKEN", repr(shown.exception)[:200], shown.output)
        if shown.exit_code > 1 or not Path(SHOP_FILE).exists():
            return Judged(shop.spec, refused, _reason(shown), shown.output)
        told = shown.exit_code == 1 or bool(FINDING.search(shown.output))
        try:
            settings = load_settings()
            rows = run(settings, shop.last_day)
        except RfmError as error:
            return Judged(shop.spec, refused, f"{error}"[:200], shown.output)
        except Exception as error:
            return Judged(shop.spec, "BROKEN", repr(error)[:200], shown.output)
        differs = difference(shop, rows, settings.rules.revenue)
    if shop.spec.ambiguous:  # a lucky guess is a guess
        differs = f"no reading is certain ({shop.spec.ambiguous}); {differs}"
    return Judged(shop.spec, "right" if not differs else warned if told else "SILENT", differs, shown.output)


def _reason(shown: Any) -> str:
    """Return what `rfm init` found or summed up, or the error that it ended with."""
    said = re.search(r"(?s)\n *(?:Unsure|Verdict)\n(.+?)(?:\n *(?:Notes|Columns)\n|$)", shown.output)
    return " ".join(said[1].split())[:200] if said else f"{shown.exception}"[:200]


def difference(shop: Shop, rows: Iterable[dict[str, Any]], revenue: str) -> str:
    """Return what differs between gold and the truth; empty if no customer, order, cent or day does."""
    truth, found, split, unknown = shop.truth(revenue), {}, 0, 0
    for row in rows:
        customer = shop.customers.get(plain(row["CustomerID"]))
        split += customer in found
        unknown += customer is None
        if customer is not None:
            found[customer] = Customer(row["Frequency"], int(row["Monetary"] * 100), row["MaxInvoiceDate"])
    both = truth.keys() & found.keys()
    parts = {
        "customers split": split,
        "no customers of the shop": unknown,
        "missing": len(truth.keys() - found.keys()),
        "without a sale": len(found.keys() - truth.keys()),
        **{
            f"other {name}": sum(getattr(truth[one], name) != getattr(found[one], name) for one in both)
            for name in ("frequency", "cents", "last")
        },
    }
    said = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    money = [sum(one.cents for one in each.values()) / 100 for each in (found, truth)]
    return said and f"{said}; {money[0]:,.2f} for {money[1]:,.2f}, of {len(truth)} customers"


def simplified(spec: Spec, still: Callable[[Spec], bool]) -> Spec:
    """Return the plainest spec for which something still holds: each feature that does not matter gets its default."""
    for one in dataclasses.fields(spec):
        value, usual = getattr(spec, one.name), getattr(PLAIN, one.name)
        plainer = [usual, *((each,) for each in value)] if isinstance(value, tuple) and len(value) > 1 else [usual]
        for other in plainer if one.name != "seed" and value != usual else []:
            tried = sensible(dataclasses.replace(spec, **{one.name: other}))
            if len(features(tried)) < len(features(spec)) and still(tried):
                spec = tried
                break
    return spec


def by_feature(judged: Iterable[Judged]) -> str:
    """Return a table of verdicts per feature, those with the largest share of silent errors first."""
    counts: dict[str, Counter[str]] = {}
    for one in judged:
        for feature in ["(all)", *features(one.spec)]:
            counts.setdefault(feature, Counter())[one.verdict] += 1
    ordered = sorted(counts.items(), key=lambda pair: -pair[1]["SILENT"] / pair[1].total())
    lines = [f"{name:32}" + "".join(f"{count[verdict]:9}" for verdict in VERDICTS) for name, count in ordered]
    return "\n".join([f"{'feature':32}" + "".join(f"{verdict:>9}" for verdict in VERDICTS), *lines])


def explain(seed: int) -> str:
    """Return the verdict on a seed, what `rfm init` said, and the plainest shop with the same verdict."""
    found = judge(make(seed))
    least = simplified(found.spec, lambda spec: judge(make(spec)).verdict == found.verdict)
    return f"{found.said}\n{found}\n\nthe same verdict with less:\n{judge(make(least))}\n{least}\n"


def main(first: int, end: int | None = None) -> None:
    """Judge one seed, or all from the first to the one before the end."""
    for setting in [name for name in os.environ if name.startswith("RFM_")]:
        del os.environ[setting]
    judged = []
    for seed in range(first, end or first):
        judged.append(judge(make(seed)))
        print(judged[-1], flush=True)
    print(by_feature(judged) if end else explain(first))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
