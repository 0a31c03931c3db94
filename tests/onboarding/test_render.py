"""What `rfm check` and `rfm init` say: what counts, what is left out, what is unsure; questions, and how they are answered."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import tomllib
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from rfm.cli.options import app
from rfm.dialect import Dialect, Rules
from rfm.onboarding import check
from rfm.onboarding.questions import Doubt, Option, Question, assigned, chosen_option, option
from rfm.onboarding.render import asked, render, taken_for
from rfm.settings import load_settings

TODAY = dt.date(2026, 11, 23)
HEADER = "order,customer,product,date,quantity,price\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with exports, with no setting in the environment, on a terminal of eighty columns."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exports").mkdir()
    return tmp_path


def sold(i: int, **other: str) -> str:
    """Return a line of 10.00, by one of 20 customers."""
    line = {
        "order": f"{1000 + i}",
        "customer": f"K{i % 20:02}",
        "product": f"A-{i % 9}",
        "date": f"2026-0{1 + i // 50}-{1 + i % 28:02}",
    }
    return ",".join((line | {"quantity": "1", "price": "10.00"} | other).values())


def write(home: Path, *lines: str, name: str = "sales.csv", header: str = HEADER) -> None:
    (home / "exports" / name).write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


def plain(rows: int = 100) -> list[str]:
    return [sold(i) for i in range(rows)]


def run(*arguments: str, answers: str = "") -> tuple[int, str]:
    """Run a command; return its status, and what it says on one line."""
    shown = CliRunner().invoke(app, list(arguments), input=answers)
    assert not shown.exception or isinstance(shown.exception, SystemExit), shown.exception
    return shown.exit_code, " ".join(shown.output.split())


# ── the order of things ────────────────────────────────────────────────────────────────────────────
def test_what_counts_comes_first_and_the_columns_last(home):
    write(home, *plain(), sold(1, customer=""))
    status, said = run("check", "exports")
    headings = ["What counts", "Left out, and why", "Notes", "Verdict", "Columns", "Read as", "For rfm.toml"]
    assert sorted(headings, key=said.index) == headings
    assert "customers 20 20 of them with more than one order orders 100 revenue 1,000.00" in said.replace("£", "")
    assert "days 2026-01-01 to 2026-02-28 best customer K00 £50.00" in said
    assert (status, "Unsure" in said) == (0, False)


def test_good_names_the_money_that_no_doubt_reaches(home):
    write(home, *plain())
    assert "✓ Good with these settings: no doubt above £5.00 (0.5 % of the revenue)." in run("check", "exports")[1]


@pytest.mark.parametrize("width", [80, pytest.param(200, marks=pytest.mark.long)])
def test_no_line_is_wider_than_the_terminal(home, width):
    write(home, *plain(), sold(7, price="x,y"), sold(8, customer="K" * 70), *plain(9))
    screen = io.StringIO()
    Console(file=screen, width=width, no_color=True).print(render(check(["exports"], TODAY), width))
    assert max(map(len, screen.getvalue().splitlines())) <= width
    assert "\x1b" not in screen.getvalue()


def test_a_customer_with_markup_and_controls_is_harmless(home):
    bad = "[red]x[/]\x1b[31m"
    write(home, *plain(), sold(3, customer=bad, price="9999.00"))
    said = run("check", "exports")[1]
    assert "[red]x[/]\\u001b[31m" in said
    assert "\x1b" not in said


# ── doubts have money ──────────────────────────────────────────────────────────────────────────────
DOUBTS: dict[str, tuple[list[str], str]] = {
    "unreadable": (
        [sold(200 + i, price="1.2.3.4") for i in range(9)],
        "£90.00 9 of 109 lines cannot be read or break a rule (price like 9.9.9.9), each valued at the average line",
    ),
    "repeated": (plain(9), "£90.00 9 lines repeat another; a run counts them all"),
    "two customers": ([sold(i, customer="K19") for i in range(9)], "£180.00 9 orders have several customers"),
    "two days": ([sold(i, date="2026-02-27") for i in range(9)], "£180.00 9 orders have lines of several days"),
    "damaged": (
        [sold(200 + i, customer="4.00638E+12") for i in range(9)],
        "£90.00 9 lines have customers like 9.99999E+99, rounded by a spreadsheet",
    ),
}


def in_turn(names: Iterable[str], first: int) -> list[Any]:
    """Return every other name from a place on, and the names between them for `make test-long`."""
    names = list(names)
    rare = [pytest.param(name, marks=pytest.mark.long) for name in names[1 - first :: 2]]
    return [*names[first::2], *rare]


@pytest.mark.parametrize("name", in_turn(DOUBTS, 0))
def test_a_doubt_of_much_money_is_something_to_fix(home, name):
    odd, sentence = DOUBTS[name]
    write(home, *plain(), *odd)
    status, said = run("check", "exports")
    assert (status, sentence in said) == (1, True), said


@pytest.mark.parametrize("name", in_turn(DOUBTS, 1))
def test_a_doubt_of_little_money_is_said_and_good(home, name):
    odd, _ = DOUBTS[name]
    dear = [line.replace("10.00", "500.00") for line in plain()]
    write(home, *dear, *[line.replace("10.00", "0.01").replace("A-", "B-") for line in odd[:1]] * (1 + (name == "repeated")))
    report = check(["exports"], TODAY)
    if name in ("two customers", "two days"):  # the money of an order is that of all its lines
        assert report.status == 1
    elif name == "unreadable":
        assert [one.amount for one in report.findings if one.amount] == [Decimal("500.00")]
    else:
        assert report.status == 0
        assert any(one.amount is not None for one in report.findings)


def test_orders_in_two_files_are_a_doubt(home):
    write(home, *plain(60))
    write(home, *[sold(i, product="B-1", price="9.00") for i in range(50, 90)], name="sales2.csv")
    said = run("check", "exports", "--set", "files.overlap=add")[1]
    assert "£90.00 10 orders are in several files, and count each time" in said


def test_doubts_of_the_sample_stand_for_all_lines(home, monkeypatch):
    from rfm.onboarding import Profile

    write(home, *plain())
    monkeypatch.setattr(Profile, "doubts", [Doubt("numbers", "it could be", Decimal("4.00"))], raising=False)
    found = {one.said: one for one in check(["exports"], TODAY).findings}
    assert (found["it could be"].weight, found["it could be"].amount) == ("note", Decimal("4.00"))


# ── questions ──────────────────────────────────────────────────────────────────────────────────────
VISITS = "order,customer,date\n"


def visits(rows: int = 60) -> list[str]:
    return [f"{i},K{i % 9},2026-01-{1 + i % 28:02}" for i in range(rows)]


def test_yes_with_an_open_question_writes_nothing(home):
    write(home, *visits(), header=VISITS)
    status, said = run("init", "exports", "--yes")
    assert (status, (home / "rfm.toml").exists()) == (1, False)
    assert "? Which column has the price, or the amount?" in said
    assert "Not written, because 1 question(s) marked ? are open." in said
    assert said.endswith("rfm init exports --yes --set columns.price=''")


def test_an_answer_on_the_command_line_is_written_and_kept(home):
    write(home, *visits(), header=VISITS)
    assert run("init", "exports", "--yes", "--set", "columns.price=")[0] == 0
    assert tomllib.loads((home / "rfm.toml").read_text())["columns"]["price"] == ""
    assert run("check", "exports")[0] == 0


def test_an_answer_that_is_the_default_is_written_too(home):
    write(home, *plain())
    run("init", "exports", "--yes", "--set", "files.overlap=add", "--set", 'customers.nobody=["Till", ""]')
    written = tomllib.loads((home / "rfm.toml").read_text())
    assert (written["files"]["overlap"], written["customers"]["nobody"]) == ("add", ["Till", ""])


def test_a_question_is_answered_at_the_prompt(home):
    write(home, *visits(), header=VISITS)
    status, said = run("init", "exports", answers="7\n1\n" + "\n" * 30)
    assert (status, "answer with a number from 1 to 1" in said) == (0, True)
    assert load_settings().columns.price == ""


def test_a_question_shows_each_answer_with_its_totals():
    question = Question(
        "columns.price",
        "What is an order worth?",
        [Option("Order Total", "Order Total", Decimal("1234.5"), 40), Option("Amount", "[b]Amount[/]", Decimal(9), 1)],
        "both are money",
    )
    screen = io.StringIO()
    Console(file=screen, width=80, no_color=True).print(asked(question, "€"))
    shown = [line.strip() for line in screen.getvalue().splitlines()]
    assert shown[:4] == [
        "? What is an order worth?  both are money",
        "1  Order Total   €1,234.50  40 customers",
        "2  [b]Amount[/]      €9.00  1 customer",
        "answer with --set columns.price='Order Total'",
    ]


@pytest.mark.parametrize(("text", "value"), [("1", "Order Total"), ("2", ""), ("Order Total", "Order Total")])
def test_an_option_is_chosen_by_its_number_or_value(text, value):
    question = Question("columns.price", "Which?", [Option("Order Total", "a"), Option("", "b")])
    assert chosen_option(question, text) == value


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        ("columns.price=Order Total", {"columns.price": "Order Total"}),
        ('columns.price="Order Total"', {"columns.price": "Order Total"}),
        ("columns.invoice=2026", {"columns.invoice": "2026"}),
        ("format.date=%d.%m.%Y", {"format.date": "%d.%m.%Y"}),
        ("format.thousands=.", {"format.thousands": "."}),
        ("rules.sold=Paid", {"rules.sold": ("Paid",)}),
        ('rules.sold=["Paid", ""]', {"rules.sold": ("Paid", "")}),
        ("rules.order_total=true", {"rules.order_total": True}),
        ("customers.width=12", {"customers.width": 12}),
        ("currencies.USD=0.92", {"currencies.USD": 0.92}),
        ("currencies={EUR=1.0, USD=0.92}", {"currencies.EUR": 1.0, "currencies.USD": 0.92}),
    ],
)
def test_an_assignment_is_a_value_of_rfm_toml_or_text(pair, found):
    assert assigned([pair]) == found


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("columns.price", "is not NAME=VALUE"),
        ("columns.pri=x", "did you mean 'columns.price'?"),
        ("format.decimal=x", "--set format.decimal"),
        ("columns.price=Nope", "there is no column 'Nope'; choose from order, customer"),
    ],
)
def test_a_wrong_assignment_is_refused_with_the_remedy(home, pair, said):
    write(home, *plain())
    shown = CliRunner().invoke(app, ["check", "exports", "--set", pair])
    assert said in str(shown.exception)


@pytest.mark.parametrize("value", ["Order Total", "", "it's", "a,b", ("paid", ""), True, 12])
def test_the_option_shown_is_read_back_as_the_value(value):
    import shlex

    setting = "rules.sold" if isinstance(value, tuple) else "customers.width" if value == 12 else "rules.order_total"
    setting = "columns.price" if isinstance(value, str) else setting
    flag, pair = shlex.split(option(setting, value))
    assert (flag, assigned([pair])) == ("--set", {setting: value})


# ── an expected revenue ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("expected", "status", "sentence"),
    [
        ("1000.00", 0, "revenue £1,000.00 as expected"),
        ("1,010", 1, "£10.00 less than the £1,010.00 that you expect; that is exactly Guests"),
        ("990.5", 1, "£9.50 more than the £990.50 that you expect; no reason to leave lines out, and no two, explain it"),
    ],
)
def test_an_expected_revenue_is_compared_and_explained(home, expected, status, sentence):
    write(home, *plain(), sold(1, customer=""))
    found, said = run("check", "exports", "--expect-revenue", expected)
    assert (found, sentence in said) == (status, True), said


def test_an_expected_revenue_that_is_no_amount_is_wrong_use(home):
    write(home, *plain())
    shown = CliRunner().invoke(app, ["check", "exports", "--expect-revenue", "much"])
    assert "'much' is not an amount" in str(shown.exception)


# ── values of columns of states ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("column", "value", "meaning"),
    [
        ("status", " Paid ", "sold"),
        ("status", "", "sold"),
        ("status", "failed", "not sold"),
        ("line_type", "REFUND", "paid back"),
        ("status", "new", "unknown, in quarantine"),
        ("currency", "usd", "money, at a rate of 0.92"),
        ("currency", "JPY", "unknown, in quarantine"),
    ],
)
def test_a_value_is_taken_for_what_the_settings_say(column, value, meaning):
    rules = Rules(sold=("paid", ""), not_sold=("failed",), refunds=("refund",))
    assert taken_for(column, value, Dialect(rules=rules, currencies={"USD": 0.92})) == meaning


STATES = "order,customer,product,date,quantity,price,Status\n"


def test_each_state_has_its_lines_money_and_meaning(home):
    write(home, *[f"{line},{'Paid' if i % 10 else 'Failed'}" for i, line in enumerate(plain())], header=STATES)
    said = run("check", "exports")[1]
    assert "90 £900.00 Paid sold 10 £100.00 Failed not sold" in said
    assert "10 £100.00 Other cancellations" in said


# ── JSON ───────────────────────────────────────────────────────────────────────────────────────────
def test_json_has_what_counts_is_left_out_and_is_unsure(home):
    write(home, *plain(), sold(1, customer=""), *plain(9))
    shown = CliRunner().invoke(app, ["check", "exports", "--json", "--expect-revenue", "1", "--set", "rules.order_total=false"])
    told = json.loads(shown.stdout)
    counted = {name: told["counted"][name] for name in ("customers", "orders", "revenue", "best_customer")}
    assert counted == {"customers": 20, "orders": 100, "revenue": "1090.00", "best_customer": "K00"}
    assert told["left_out"] == [{"step": "guests", "said": "Guests", "lines": 1, "amount": "10.00"}]
    assert {one["about"]: one["amount"] for one in told["unsure"] if one["amount"]} == {"copies": "90.00", "expected": "1089.00"}
    assert (told["expected"], told["questions"], told["doubts_from"]) == ("1", [], "5.45")


# ── every day ──────────────────────────────────────────────────────────────────────────────────────
def of_day(day: int, line: Callable[[int], str] = sold) -> list[str]:
    return [line(1000 * day + i).replace(line(1000 * day + i).split(",")[3], f"2026-03-0{day}") for i in range(40)]


def test_init_writes_what_the_files_are_like(home):
    write(home, *plain(), sold(1, customer=""))
    run("init", "exports", "--yes")
    found = load_settings().baseline
    assert (found.made, found.unread, found.guests) == (dt.date(2026, 2, 28), 0.0, 0.0099)
    assert (found.order_value, found.revenue_per_day) == (10.0, 17.86)


def test_a_new_shape_on_the_fourth_day_is_a_warning_with_money(home):
    for day in (1, 2, 3):
        write(home, *of_day(day), name=f"2026-03-0{day}_sales.csv")
    assert run("init", "exports", "--yes")[0] == 0
    odd = [line if i % 10 else line.replace("10.00", '"1.250.00"') for i, line in enumerate(of_day(4))]
    write(home, *odd, name="2026-03-04_sales.csv")
    status, said = run("backfill", "--from", "2026-03-03", "--to", "2026-03-04")
    assert "4 of 40 lines, about £40.00, cannot be read or break a rule: price like 9.999.99" in said
    assert status == 0
