"""Five hundred made shops: none is read wrong without a word, and nine of ten are read right.

Seeds of failures are printed with what is unusual about the shop; `python -m tests.onboarding.shops SEED FOLDER` writes
its files.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import os
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import pytest

from tests.onboarding.judge import Judged, backfilled, by_feature, difference, gold_of, judge, simplified
from tests.onboarding.shop_orders import Customer, Shop
from tests.onboarding.shop_spec import PLAIN, Spec, described, draw, features, sensible
from tests.onboarding.shop_words import HEADERS, LANGUAGES, STATES
from tests.onboarding.shops import make

QUICK, ALL = 3, 500
LEAST_RIGHT = 0.9


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take settings out of the environment."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)


def failures(judged: Iterable[Judged], *verdicts: str) -> str:
    """Return the seeds with one of the verdicts, and what differs."""
    return "\n".join(f"{one}" for one in judged if one.verdict in verdicts)


def hold(judged: list[Judged]) -> None:
    """Fail with the seeds of shops that are wrong in silence, then with those of too few right ones."""
    counts = Counter(one.verdict for one in judged)
    silent = failures(judged, "SILENT", "BROKEN")
    assert not silent, f"wrong without a word, of {dict(counts)}:\n{silent}\n\n{by_feature(judged)}"
    rest, certain = failures(judged, "warned", "refused"), len(judged) - counts["asked"]
    assert counts["right"] >= LEAST_RIGHT * certain, f"too few are right, of {dict(counts)}:\n{rest}"


# ── the judgement ──────────────────────────────────────────────────────────────────────────────────
def test_three_shops_are_right_or_asked():
    hold([judge(make(seed)) for seed in range(QUICK)])


@pytest.mark.long
def test_five_hundred_shops_are_right_or_asked():
    hold([judge(make(seed), backfilled) for seed in range(ALL)])


@pytest.mark.parametrize("run", [gold_of, backfilled])
def test_a_plain_shop_is_right(run):
    found = judge(make(PLAIN), run)
    assert found.verdict == "right", f"{found}\n{found.said}"


# ── the judge ──────────────────────────────────────────────────────────────────────────────────────
def rows_of(shop: Shop, truth: dict[int, Customer]) -> list[dict]:
    """Return gold that says what a truth says."""
    names = {customer: name for name, customer in shop.customers.items()}
    return [
        {
            "CustomerID": names[one],
            "Frequency": each.frequency,
            "Monetary": Decimal(each.cents) / 100,
            "MaxInvoiceDate": each.last,
        }
        for one, each in truth.items()
    ]


@pytest.mark.parametrize(
    ("column", "more", "said"),
    [
        ("Frequency", 1, "1 other frequency"),
        ("Monetary", Decimal("0.01"), "1 other cents"),
        ("MaxInvoiceDate", dt.timedelta(days=1), "1 other last"),
    ],
)
def test_one_order_cent_or_day_more_differs(column, more, said):
    shop = make(3)
    rows = rows_of(shop, shop.truth())
    assert difference(shop, rows, "gross") == ""
    rows[0][column] += more
    assert difference(shop, rows, "gross").startswith(said)


def test_split_missing_and_unknown_customers_differ():
    shop = make(3)
    rows = rows_of(shop, shop.truth())
    assert difference(shop, rows[1:], "gross").startswith("1 missing")
    assert difference(shop, [*rows, rows[0]], "gross").startswith("1 customers split")
    assert difference(shop, [*rows, rows[0] | {"CustomerID": "Guest"}], "gross").startswith("1 no customers")


def test_a_failure_is_simplified_to_what_causes_it():
    spec = Spec(5, "Dutch", quote_all=True, orders="hash", statuses=("failed", "draft"), faults=("total", "nul"))
    least = simplified(spec, lambda one: "nul" in one.faults and "draft" in one.statuses and one.orders == "hash")
    assert least == Spec(5, orders="hash", statuses=("draft",), faults=("nul",))


def test_swapped_days_and_months_are_days_of_the_shop_too():
    days = {order.moment.date() for order in make(Spec(7, dates="slash_mdy", ambiguous="dates")).orders}
    assert max(day.day for day in days) <= 12
    assert len({day.month for day in days}) == 12


# ── the truth and the files ────────────────────────────────────────────────────────────────────────
def test_the_truth_is_what_the_plain_file_adds_up_to():
    shop, money, orders = make(PLAIN), Counter(), Counter()
    (raw,) = shop.files.values()
    for row in csv.reader(io.StringIO(raw.decode())):
        number, day, customer, _, _, quantity, price = row
        if quantity.isdigit():
            money[customer] += int(quantity) * int(price.replace(".", ""))
            orders[customer, number, day] = 1
    truth = shop.truth()
    assert {one: money[str(12_000 + one * 37)] for one in truth} == {one: each.cents for one, each in truth.items()}
    assert sum(orders.values()) == sum(each.frequency for each in truth.values())


def test_returns_and_unsold_orders_are_no_purchases():
    shop = make(Spec(1, returns="quantity", statuses=("failed",)))
    unsold = [order for order in shop.orders if order.state != "sold"]
    returned = [order for order in shop.orders if order.returned]
    gross, net = shop.truth(), shop.truth("net")
    assert unsold
    assert returned
    assert sum(one.frequency for one in gross.values()) == len(shop.orders) - len(unsold) - len(returned)
    assert sum(one.cents for one in net.values()) < sum(one.cents for one in gross.values())


def test_a_seed_makes_the_same_shop_again():
    one, other = make(11), make(11)
    assert one.spec == other.spec
    assert one.truth() == other.truth()
    assert one.files.keys() == other.files.keys()


def test_five_hundred_seeds_draw_every_feature():
    drawn = Counter(feature for seed in range(ALL) for feature in features(draw(seed)))
    fields = {one.name for one in dataclasses.fields(Spec)} - {"seed"}
    assert {feature.partition(":")[0] for feature in drawn} == fields
    assert {feature for feature in drawn if feature.startswith("language")} == {f"language: {one!r}" for one in LANGUAGES[1:]}


def test_a_drawn_spec_is_sensible_and_describes_itself():
    for seed in range(ALL):
        spec = draw(seed)
        assert sensible(spec) == spec, described(spec)
        assert eval(f"Spec({described(spec).replace(f'seed {seed}: ', f'{seed}, ').rstrip(', ')})") == spec


def test_every_word_exists_in_every_language():
    assert {role: len(names) for role, names in (HEADERS | STATES).items() if len(names) != len(LANGUAGES)} == {}
