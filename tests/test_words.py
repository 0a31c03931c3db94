"""The report in another language: every text is translated, numbers and dates are the language's, and English is unchanged.

``python tests/test_words.py`` adds the new texts to each file of translations, and removes those that are no longer used.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

import rfm
from rfm import words
from rfm.analysis import states
from rfm.analysis.forecast import evaluate
from rfm.analysis.segments import alternatives, rules
from rfm.contracts import TABLES
from rfm.pipeline.stages import STAGES
from rfm.words import LOCALE, languages

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


if __name__ == "__main__":
    for one in OTHERS:
        (LOCALE / f"{one}.po").write_bytes(updated(one))
        missing = [text for (_context, text), message in keys(catalog(one)).items() if not all(message.string or [""])]
        print(f"{one}: {len(missing)} texts to translate", *missing[:40], sep="\n  ")
