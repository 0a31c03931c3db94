"""The brief of a run: two pages of A4 to print or attach, and the same as the body of a mail; no single customer is in it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any
from warnings import catch_warnings

from matplotlib import rc_context
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from rfm import contracts
from rfm.analysis.figures.style import BLUE, GREY, INK
from rfm.analysis.formatting import count
from rfm.analysis.movement import TITLES, largest_moves
from rfm.errors import printable
from rfm.report.filters import PAGE_FILTERS, headline, note
from rfm.report.guide import footnote
from rfm.report.render import RunTables, render
from rfm.words import _, tag, tell

HELD = " *"  # behind the name of a segment
MOST_MOVES, MOST_WARNINGS, MOST_CALLS, MOST_SEGMENTS = 3, 3, 5, 12  # as many as fit on the pages with the longest texts


def brief_of(tables: RunTables, given: Mapping[str, Any], overview: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the brief says, as text: from the facts about a run, its overview and its tables."""
    summary, sign = given["summary"], tables.currency
    segments = sorted(summary["segments"], key=lambda row: (-row["revenue_share"], row["segment"]))
    moves = tables.frame(contracts.SEGMENT_MOVEMENT, UpdateDate=tables.day)
    known = {days: title for days, title in TITLES.items() if (moves["Days"] == days).any()}
    said = {_(title): largest_moves(moves, MOST_MOVES, sign, days) for days, title in known.items()}
    day = PAGE_FILTERS["day"](given["run_date"])
    return {
        "shop": given["shop"],
        "day": day,
        "document": _("{shop}: customers on {day}", shop=given["shop"], day=day),
        "date": given["run_date"],
        "headline": headline(summary),
        "note": note(summary, sign),
        "tiles": [_tile(one, sign) for one in overview["kpis"]],
        "segments": [_segment(row, sign) for row in segments[:MOST_SEGMENTS]],
        "calls": _calls(overview["calls"].get("groups", ()), sign),
        "moves": {title: lines or [_("Nobody changed segment.")] for title, lines in said.items()},
        "warnings": [tell(line) for line in given["warnings"][:MOST_WARNINGS]],
        "more_warnings": max(len(given["warnings"]) - MOST_WARNINGS, 0),
        "definitions": footnote(HELD.strip() if any(row.get("held") for row in segments[:MOST_SEGMENTS]) else ""),
        "made": _("Made by rfm {version} from the run of {day}", version=given["code"].get("rfm", ""), day=day),
    }


def _tile(figure: Mapping[str, Any], sign: str) -> dict[str, Any]:
    """Return a figure of the day and its changes."""
    value, form, change = figure["value"], figure["form"], PAGE_FILTERS["change"]
    since = [(then["value"], then["word"] or PAGE_FILTERS["short"](then["since"])) for then in figure["past"]]
    changes = [_("{change} since {day}", change=change(value, old, form, sign), day=day) for old, day in since]
    return {"label": figure["label"], "value": PAGE_FILTERS["form"](value, form, sign), "since": changes}


def _segment(row: Mapping[str, Any], sign: str) -> dict[str, Any]:
    """Return what the brief says of a segment."""
    share, money = PAGE_FILTERS["share"], PAGE_FILTERS["money"]
    return {
        "name": tell(row["segment"]) + (HELD if row.get("held") else ""),  # an earlier version kept no count
        "customers": f"{count(row['customers'], 'customer')}, {share(row['customer_share'])}",
        "revenue": f"{money(row['revenue'], sign)}, {share(row['revenue_share'])}",
        "shares": (float(row["customer_share"]), float(row["revenue_share"])),
        "action": tell(row["recommendation"]),
    }


def _calls(groups: Sequence[Mapping[str, Any]], sign: str) -> list[dict[str, Any]]:
    """Return the groups of customers to call first, by segment and state, those with most money at stake before the others."""
    return [
        {
            "who": f"{tell(row['segment'])}, {tell(row['state'])}",
            "customers": count(row["customers"], "customer"),
            "money": PAGE_FILTERS["money"](row["money"], sign),
            "action": tell(row["action"]),
        }
        for row in groups[:MOST_CALLS]
    ]


def write_brief(said: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of the brief."""
    with catch_warnings(action="ignore", category=UserWarning):  # a character that the font lacks is drawn as a box
        return {"brief.pdf": _pdf(said), "brief.html": render("brief.html.j2", said).encode()}


# ── two pages ────────────────────────────────────────────────────────────
WIDTH, HEIGHT, EDGE = 595.0, 842.0, 48.0  # A4 in points
INNER, FONT = WIDTH - 2 * EDGE, "DejaVu Sans"  # the font that matplotlib brings along
PALE, SOFT = "#dbe2ea", "#5b6776"


class _Paper:
    """A page that is filled from top to bottom; lengths are in points."""

    def __init__(self, said: Mapping[str, Any], number: int) -> None:
        self.figure = Figure((WIDTH / 72, HEIGHT / 72), dpi=72, facecolor="white")
        FigureCanvasPdf(self.figure)
        self.at = EDGE
        self.line(_lines(said["shop"], 380, 9.5, True, 1)[0], size=9.5, bold=True)
        self.line(said["day"], size=9.5, x=WIDTH - EDGE, align="right")
        self.rule(EDGE + 16, INK)
        self.line(" · ".join([said["made"], _("page {n} of 2", n=number)]), HEIGHT - EDGE + 8, size=7.5, colour=SOFT)
        self.at = EDGE + 34

    def line(
        self,
        text: str,
        y: float = EDGE,
        *,
        x: float = EDGE,
        size: float = 9,
        bold: bool = False,
        colour: str = INK,
        align: str = "left",
    ) -> None:
        """Write a line whose top is at a height."""
        style: dict[str, Any] = {"fontfamily": FONT, "fontsize": size, "fontweight": _weight(bold), "color": colour}
        self.figure.text(x / WIDTH, 1 - y / HEIGHT, text, va="top", ha=align, parse_math=False, **style)

    def text(self, text: str, *, x: float = EDGE, width: float = INNER, most: int = 99, size: float = 9, **style: Any) -> None:
        """Write text in at most `most` lines of a width, and move below it."""
        for line in _lines(text, width, size, style.get("bold", False), most):
            self.line(line, self.at, x=x, size=size, **style)
            self.at += 1.38 * size

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        """Draw a rectangle with its upper left corner at a place."""
        corner = x / WIDTH, 1 - (y + height) / HEIGHT
        self.figure.add_artist(Rectangle(corner, width / WIDTH, height / HEIGHT, **{"linewidth": 0.0, **style}))

    def rule(self, y: float, colour: str = PALE) -> None:
        """Draw a line over the page."""
        self.box(EDGE, y, INNER, 0.8, facecolor=colour)

    def heading(self, text: str) -> None:
        """Write the title of a section."""
        self.at += 10
        self.text(text, size=12, bold=True)
        self.at += 3


def _weight(bold: bool) -> str:
    return "bold" if bold else "normal"


def _lines(text: str, width: float, size: float, bold: bool, most: int) -> list[str]:
    """Return text in lines that fit a width; the last of too many ends with an ellipsis."""
    font = FontProperties(family=FONT, size=size, weight=_weight(bold))

    @cache  # word by word, which is six times as fast as measuring each longer line
    def wide(part: str) -> float:
        return float(text_to_path.get_text_width_height_descent(part, font, False)[0]) / width

    lines, used = [""], 0.0
    for word in (part for long in printable(text).split() for part in _parts(long, wide)):
        longer = used + wide(" ") + wide(word) if used else wide(word)
        if longer <= 1:
            lines[-1], used = f"{lines[-1]} {word}".strip(), longer
        else:
            lines.append(word)
            used = wide(word)
        if len(lines) > most:
            break
    if len(lines) > most:
        last = lines[most - 1]
        while wide(f"{last} …") > 1:
            last = last.rpartition(" ")[0] or last[:-3]
        lines[most - 1 :] = [f"{last} …"]
    return lines


def _parts(word: str, wide: Callable[[str], float]) -> Iterator[str]:
    """Return a word, in parts if it is wider than a line."""
    while (excess := wide(word)) > 1:
        end = max(int(0.9 * len(word) / excess), 1)
        yield word[:end]
        word = word[end:]
    yield word


def _first_page(said: Mapping[str, Any]) -> Figure:
    """Draw headline, figures and segments."""
    page = _Paper(said, 1)
    page.text(said["headline"], size=19, bold=True, most=3)
    if said["note"]:
        page.at += 3
        page.text(said["note"], size=10.5, most=2)
    page.at += 10
    _tiles(page, said["tiles"])
    page.heading(_("Who they are, and what to do"))
    key = page.at - 17
    for x, style, text in ((EDGE + 226, CUSTOMERS, _("share of customers")), (EDGE + 336, REVENUE, _("share of revenue"))):
        page.box(x, key, 12, 7, **style)
        page.line(text, key - 1, x=x + 16, size=7)
    widest = max((share for row in said["segments"] for share in row["shares"]), default=1.0) or 1.0
    room = min((HEIGHT - EDGE - page.at) / max(len(said["segments"]), 1), 44.0)
    for row in said["segments"]:
        _segment_row(page, row, widest, room)
    return page.figure


CUSTOMERS: dict[str, Any] = {"facecolor": "white", "edgecolor": GREY, "hatch": "//////", "linewidth": 0.6}
REVENUE: dict[str, Any] = {"facecolor": BLUE}


def _tiles(page: _Paper, tiles: Sequence[Mapping[str, Any]]) -> None:
    """Draw the six figures with their changes, three in a row."""
    width, height, gap = (INNER - 24) / 3, 74.0, 12.0
    top = page.at
    for place, tile in enumerate(tiles):
        x, y = EDGE + place % 3 * (width + gap), top + place // 3 * (height + gap)
        page.box(x, y, width, height, facecolor="#f1f5f9")
        page.line(tile["label"], y + 8, x=x + 10, size=8.5, bold=True)
        page.line(tile["value"], y + 21, x=x + 10, size=17, bold=True)
        for below, line in enumerate(tile["since"][:2]):
            page.line(line, y + 46 + 11 * below, x=x + 10, size=7.5)
    page.at = top + -(-len(tiles) // 3) * (height + gap)


def _segment_row(page: _Paper, row: Mapping[str, Any], widest: float, room: float) -> None:
    """Draw a segment: its name and action, and its shares of customers and of revenue as two bars."""
    top = page.at
    page.rule(top)
    page.line(row["name"], top + 5, size=9, bold=True)
    page.at = top + 18
    page.text(row["action"], width=216, size=7.5, most=max(int((room - 20) // 10), 1), colour=SOFT)
    for y, share, style, text in zip(
        (5, 17), row["shares"], (CUSTOMERS, REVENUE), (row["customers"], row["revenue"]), strict=True
    ):
        long = 110 * share / widest
        page.box(EDGE + 226, top + y + 1, long, 7, **style)
        page.line(text, top + y, x=EDGE + 226 + long + 5, size=7.5)
    page.at = top + room


def _second_page(said: Mapping[str, Any]) -> Figure:
    """Draw whom to call, what moved, the warnings and the definitions."""
    page = _Paper(said, 2)
    page.heading(_("Whom to call first"))
    for call in said["calls"]:
        page.rule(page.at)
        page.at += 5
        money = _("{amount} at stake", amount=call["money"])
        page.line(f"{call['customers']}, {money}", page.at, x=WIDTH - EDGE, size=9, align="right")
        page.text(call["who"], width=330, bold=True, most=1)
        page.text(call["action"], width=INNER, size=8, most=2, colour=SOFT)
        page.at += 4
    if not said["calls"]:
        page.text(_("Nobody worth keeping is silent for longer than usual."))
    page.heading(_("What moved, and why"))
    for title, lines in said["moves"].items():
        page.text(title, bold=True)
        for line in lines:
            page.text(line, size=8.5, most=2)
        page.at += 4
    if not said["moves"]:
        page.text(_("There is no earlier run to compare with yet."))
    if said["warnings"]:
        page.heading(_("Warnings of this run"))
        for line in said["warnings"]:
            page.text(line, size=8.5, most=2)
            page.at += 2
        if said["more_warnings"]:
            page.text(_("and {n} more in the report", n=said["more_warnings"]), size=8.5)
    page.at = max(page.at + 12, HEIGHT - EDGE - 76)
    page.rule(page.at - 6)
    page.text(said["definitions"], size=7.5, colour=SOFT, most=6)
    return page.figure


def _pdf(said: Mapping[str, Any]) -> bytes:
    """Return both pages as a PDF with embedded fonts, the same bytes each time."""
    content, moment = BytesIO(), dt.datetime.fromisoformat(said["date"]).replace(tzinfo=dt.UTC)
    about: dict[str, Any] = {
        "Title": said["document"],
        "Author": said["shop"],
        "Subject": said["headline"],
    }
    about |= {"Creator": "rfm", "Producer": None, "CreationDate": moment}
    look: Any = {"pdf.fonttype": 3, "hatch.linewidth": 0.6}
    with rc_context(look), PdfPages(content, metadata=about) as pages:
        for page in (_first_page(said), _second_page(said)):
            pages.savefig(page)
    return _with_language(content.getvalue(), tag())


def _with_language(pdf: bytes, language: str) -> bytes:
    """Append the language and that a viewer shows the title, which matplotlib cannot write, as an update of the document."""
    start = pdf.rindex(b"startxref")
    trailer, place = pdf[pdf.rindex(b"trailer", 0, start) : start], int(pdf[start + 9 :].split()[0])
    number = re.search(rb"/Root (\d+) 0 R", trailer)
    found = number and re.search(rb"\n%s 0 obj\n<<(.*?)>>\s*endobj" % number[1], pdf, re.DOTALL)
    if not number or not found:  # another writer: a brief without a language is still a brief
        return pdf
    more = b" /Lang (%s) /ViewerPreferences << /DisplayDocTitle true >>" % language.encode()
    catalog = b"%s 0 obj\n<<%s%s >>\nendobj\n" % (number[1], found[1], more)
    table = b"xref\n%s 1\n%010d 00000 n \n" % (number[1], len(pdf))
    ending = trailer.rstrip().removesuffix(b">>") + b"/Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (place, len(pdf) + len(catalog))
    return pdf + catalog + table + ending
