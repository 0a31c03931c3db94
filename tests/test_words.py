"""The report in another language: every text is translated, numbers and dates are the language's, and English is unchanged.

``python tests/test_words.py`` adds the new texts to each file of translations, and removes those that are no longer used.
"""

from __future__ import annotations

import ast
import datetime as dt
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

import rfm
from benchmarks.code import TREES
from rfm import words
from rfm.analysis import formatting, states
from rfm.analysis.forecast import evaluate
from rfm.analysis.segments import alternatives, rules
from rfm.contracts import TABLES
from rfm.errors import SettingsError
from rfm.pipeline.chain import STAGES
from rfm.words import LOCALE, gettext, languages, speaking, tell
from tests.warned import warnings_of_a_run

PACKAGE = Path(rfm.__file__).parent
METHODS = [("**.py", "python"), ("report/templates/**.j2", "jinja2.ext:babel_extract")]
OPTIONS = {"report/templates/**.j2": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
KEYWORDS = {**DEFAULT_KEYWORDS, "nN_": (1, 2)}
OTHERS = [language for language in languages() if language != words.ENGLISH]
STATUS = ("done", "failed", "running", "drop", "warn", "fail", "full", "warm", "forecast")
TYPES = {"String", "Int32"}


def texts_of_tables() -> Iterator[str]:
    """Yield what tables hold as data and pages show: names, actions, what a table and a column mean."""
    for table in TABLES.values():
        yield table.grain
        for column in table.columns:
            yield from (column.meaning, column.unit)
    yield from [*rules.TIERS, *rules.SEGMENTS, *rules.RECOMMENDATIONS.values(), *rules.ONGOING.values()]
    yield from [action for actions in rules.STATE_ACTIONS.values() for action in actions.values()]
    yield from [*rules.VALUE_TIERS, *rules.ENGAGEMENTS, *states.STATES, *STATUS]
    yield from [stage.title for stage in STAGES]
    yield from [name for names in alternatives.SCORE_NAMES.values() for name in names]
    yield from list(evaluate.Rule)


@cache
def template() -> Catalog:
    """Return every text of the report, as found in the code."""
    found = Catalog()
    for file, _line, text, _comments, context in extract_from_dir(PACKAGE, METHODS, OPTIONS, KEYWORDS):
        found.add(text, locations=[(file, None)], context=context)
    for text in texts_of_tables():
        if text:
            found.add(text, locations=[("data", None)])
    return found


def catalog(language: str) -> Catalog:
    """Return the translations of a language."""
    with (LOCALE / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def keys(found: Catalog) -> dict[tuple[str | None, str], object]:
    """Return the texts of a catalog by context and English text."""
    return {(one.context, one.id[0] if one.pluralizable else one.id): one for one in found if one.id}


def updated(language: str) -> bytes:
    """Return the file of a language with the texts that are used, sorted as in the code; new ones are empty."""
    found = catalog(language)
    found.update(template(), no_fuzzy_matching=True)
    found.obsolete.clear()
    content = io.BytesIO()
    write_po(content, found, width=130, omit_header=True, no_location=True, sort_output=True, ignore_obsolete=True)
    head = (LOCALE / f"{language}.po").read_bytes().partition(b"\n\n")[0]  # Babel's has a date
    return head + b"\n\n" + content.getvalue()


# ── every text is translated ────────────────────────────────────────────────────────────
FIELDS = re.compile(r"%\(\w+\)s|%?\{[^}]*\}|<[^>]+>")
SHEET = 31  # characters of the name of a sheet, which a segment's is


@pytest.mark.parametrize("language", OTHERS)
def test_the_file_holds_every_text_and_no_other(language):
    used, there = keys(template()).keys(), keys(catalog(language)).keys()
    assert (used - there, there - used) == (set(), set()), "python tests/test_words.py adds and removes them"


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated_with_its_fields(language):
    def forms(text: object) -> list[str]:
        return [text] if isinstance(text, str) else list(text)

    for message in keys(catalog(language)).values():
        assert all(forms(message.string)), message.id
        wanted = sorted(FIELDS.findall(forms(message.id)[-1]))
        assert [sorted(FIELDS.findall(form)) for form in forms(message.string)] == [wanted] * len(forms(message.string)), (
            message.id
        )


def test_no_text_hides_in_an_f_string():
    def hidden(tree: ast.AST) -> list[str]:
        calls = [one for joined in ast.walk(tree) if isinstance(joined, ast.JoinedStr) for one in ast.walk(joined)]
        named = [one for one in calls if isinstance(one, ast.Call) and getattr(one.func, "id", "") in KEYWORDS and one.args]
        return [one.args[0].value for one in named if isinstance(one.args[0], ast.Constant)]

    assert {name: texts for name, tree in TREES.items() if (texts := hidden(tree))} == {}, "Babel does not find them"


@pytest.mark.parametrize("language", OTHERS)
def test_names_of_segments_differ_and_fit_a_sheet(language):
    with speaking(language):
        names = [tell(segment) for segment in rules.SEGMENTS]
    assert len({name[:SHEET] for name in names}) == len(rules.SEGMENTS)
    assert not [name for name in names if len(name) > SHEET or re.search(r"[\[\]:*?/\\]", name)]


# ── the forms of a language ────────────────────────────────────────────────────────────
def test_numbers_and_dates_are_german():
    day = dt.date(2025, 10, 3)
    with speaking("de"):
        amounts = formatting.amount(1234.5, "£"), formatting.exact_amount(-9.5, "€"), formatting.short_amount(1.24e6, "£")
        shares = formatting.share(0.053), formatting.growth(-0.1), formatting.number(12345.67)
        dates = words.day(day), words.short_day(day), words.month(day), words.weekdays("abbreviated")[4]
    assert amounts == ("1.234\xa0£", "−9,50\xa0€", "1,24 Mio.\xa0£")
    assert shares == ("5,3\xa0%", "−10,0\xa0%", "12.345,7")
    assert dates == ("3. Oktober 2025", "3. Okt.", "Oktober 2025", "Fr")
    assert formatting.amount(1234.5, "£") == "£1,234"  # nothing of it is left


@pytest.mark.parametrize(("count", "said"), [(1, "vor 1 Tag"), (2.5, "vor 2,5 Tagen"), (1200, "vor 1.200 Tagen")])
def test_the_plural_fits_the_number(count, said):
    with speaking("de"):
        assert formatting.ago(count) == said


def test_two_threads_speak_two_languages():
    def said(language: str) -> list[str]:
        with speaking(language):
            return [gettext("Customers") for _ in range(100)]

    with ThreadPoolExecutor(2) as pool:
        assert [{*found} for found in pool.map(said, ["de", "en"] * 4)] == [{"Kunden"}, {"Customers"}] * 4


SAID = {
    "usually every 23 days, silent for 96 days": "sonst alle 23 Tage, jetzt 96 Tage still",
    "bought on 1 day, others come back after 1 day, silent for 1 day": "1 Tag mit Käufen, ähnliche Kunden kommen "
    "nach 1 Tag wieder, seither 1 Tag still",
    "silent for 4 days raises it; spends £1,864.50 a time lowers it": "4 Tage still: erhöht die Chance; "
    "gibt je Einkauf 1.864,50\xa0£ aus: senkt die Chance",
    "Champions (cluster 3)": "Spitzenkunden (Cluster 3)",
    "Champions": "Spitzenkunden",
    "what a shop writes; and it stays": "what a shop writes; and it stays",
}


@pytest.mark.parametrize("text", SAID)
def test_a_sentence_of_a_table_is_said_in_german(text):
    assert tell(text) == text
    with speaking("de"):
        assert tell(text) == SAID[text]


def test_warnings_of_a_run_are_said_in_german():
    parts = {part for warning in warnings_of_a_run() for part in warning.split("; ")}
    with speaking("de"):
        said = {part: tell(part) for part in parts}
    assert len(parts) > 60
    assert [part for part, german in said.items() if german == part] == []
    assert [german for german in said.values() if re.search(r"[£€]\d|\d%|\d{4}-\d\d-\d\d(?!\.csv)", german)] == []


def test_an_unknown_language_names_those_there_are():
    with pytest.raises(SettingsError, match="shop.language: unknown language 'dd'; allowed: de, en"):
        rfm.load_settings(shop={"language": "dd"})


if __name__ == "__main__":
    for one in OTHERS:
        (LOCALE / f"{one}.po").write_bytes(updated(one))
        missing = [text for (_context, text), message in keys(catalog(one)).items() if not all(message.string or [""])]
        print(f"{one}: {len(missing)} texts to translate", *missing[:40], sep="\n  ")
