"""Pages from templates: the filters and assets of the site, the tables of one run, figures and rows as templates want them.

A new kind of page extends ``frame.html.j2``; macros that pages share are in ``parts.html.j2``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from rfm import words
from rfm.analysis import formatting, sales
from rfm.analysis.figures.style import STATE_COLOURS, TIER_COLOURS
from rfm.analysis.segments.explain import held_against
from rfm.config import Clusters, States
from rfm.contracts import CLUSTERED, CUSTOMER_STATES, DESCRIBED_CLUSTERS, DESCRIBED_CUSTOMERS, HISTORY, LEDGER, SILVER, TABLES
from rfm.dialect import Rules, Section
from rfm.errors import InputError, first_line
from rfm.lake import Lake, open_lake
from rfm.report.filters import PAGE_FILTERS, slug, words_of_scripts
from rfm.report.guide import FILE, HEADINGS
from rfm.settings import Settings, is_catalog_name
from rfm.words import _

# ── template ────────────────────────────────────────────────────────────
TEMPLATE = Path(__file__).parent / "templates"
OWN = ("page.css", "draw.js", "filter.js", "pick.js", "customers.js")  # our assets


def render(template: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None) -> str:
    """Return a page, with everything escaped but markup that a filter has made safe."""
    environment = _environment()
    environment.filters.update(filters or {})
    own = {"language": words.language(), "said": words_of_scripts(), "guide": FILE}
    return environment.get_template(template).render({**values, **own})


@cache
def _environment() -> Any:
    """Return Jinja with our filters; it keeps what it has compiled, so pages share the frame."""
    from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader

    compiled = TEMPLATE / "__pycache__"  # as Python keeps its modules, where it may
    with suppress(OSError):
        compiled.mkdir(exist_ok=True)
    keep = not sys.dont_write_bytecode and os.access(compiled, os.W_OK)
    cache = FileSystemBytecodeCache(str(compiled)) if keep else None
    environment: Any = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        trim_blocks=True,
        bytecode_cache=cache,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(words.gettext, words.ngettext, newstyle=True, pgettext=words.pgettext)
    environment.filters.update(PAGE_FILTERS)
    return environment


def links(folder: str, content: str) -> dict[str, Any]:
    """Return the addresses of the assets and the nonce of a page."""
    nonce = hashlib.sha256(content.encode()).hexdigest()[:32]
    return {"assets": {name: folder + hashed for name, (hashed, _) in assets().items()}, "nonce": nonce}


@cache
def assets() -> dict[str, tuple[str, bytes]]:
    """Return name and content of each file that all pages share; its name in the site holds the hash of its content."""
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    found = {path.name: path.read_bytes() for path in (*(TEMPLATE / name for name in OWN), plotly)}
    colours = {"tier": TIER_COLOURS, "state": STATE_COLOURS}
    rules = (f".{slug(name)} {{ --{kind}: {one}; }}\n" for kind, named in colours.items() for name, one in named.items())
    found["page.css"] += "".join(rules).encode()
    return {
        name: (name.replace(".", f"-{hashlib.sha256(content).hexdigest()[:10]}.", 1), content) for name, content in found.items()
    }


# ── tables ────────────────────────────────────────────────────────────
Chosen = TypeVar("Chosen", bound=Section)


@dataclass(frozen=True)
class RunTables:
    """The tables of one run as they were when it ended, its record and the settings: the argument of every page builder."""

    settings: Settings
    record: Mapping[str, Any]
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)  # may be shared by the parts of a run

    @cached_property
    def lake(self) -> Lake:
        """The lake."""
        return open_lake(self.settings)

    @property
    def day(self) -> dt.date:
        """The run date."""
        return dt.date.fromisoformat(self.record["run_date"])

    @property
    def currency(self) -> str:
        """The sign before an amount."""
        return str(self.record.get("parameters", {}).get("currency") or self.settings.shop.currency)

    @cached_property
    def versions(self) -> dict[str, int]:
        """The version of each table when the run ended."""
        stages = self.record.get("stages", ())
        states = (states for stage in stages for states in (stage.get("reads", {}), stage.get("writes", {})))
        return {name: int(state["version"]) for found in states for name, state in found.items()}

    @property
    def orders(self) -> pd.DataFrame:
        """The orders up to the run date, by the rules of the run."""
        pattern = self.rules.stock_code_pattern
        return self.once(
            ("orders", *self._versions_of(SILVER)), lambda: sales.orders(self.read(SILVER), self.day, stock_code_pattern=pattern)
        )

    @cached_property
    def products_by_group(self) -> pd.DataFrame:
        """The products of each segment in each state, by the rules of the run; none for a run without states."""
        states = self.frame(CUSTOMER_STATES, UpdateDate=self.day)
        pattern = self.rules.stock_code_pattern
        return sales.products_by_group(self.read(SILVER), states, self.day, stock_code_pattern=pattern)

    @property
    def held(self) -> pd.Series:
        """The name that the numbers of today give, by customer, where she bears another; empty for all others."""
        people, described = self.frame(DESCRIBED_CUSTOMERS), self.frame(DESCRIBED_CLUSTERS)
        key = "held", *self._versions_of(DESCRIBED_CUSTOMERS), *self._versions_of(DESCRIBED_CLUSTERS)
        return self.once(key, lambda: held_against(people, described).set_axis(people["CustomerID"]))

    @property
    def rules(self) -> Rules:
        """The business rules of the run."""
        return self._of_run(self.settings.rules, "rules")

    @property
    def clusters(self) -> Clusters:
        """How the run clustered: a past day is drawn with the settings of that day."""
        return self._of_run(self.settings.clusters, "clusters")

    @property
    def states(self) -> States:
        """When the run called a customer new, cooling, at risk or lost."""
        return self._of_run(self.settings.states, "states")

    def _of_run(self, now: Chosen, section: str) -> Chosen:
        """Return a section of the settings as it was in the run; as it is now for a record without it."""
        then = self.record.get("settings", {}).get(section)
        return type(now).model_validate(then) if then else now

    def check_day(self) -> None:
        """Raise InputError if a catalog, which has only the newest version of a table, holds another day by now."""
        if is_catalog_name(self.settings.lake):
            found = self.lake.rows(CLUSTERED, columns=["UpdateDate"])["UpdateDate"].unique().to_list()
            if found != [self.day]:
                raise InputError(_gone(self.day, f"{self.settings.lake} holds another day now"))

    def read(self, name: str, **equal: Any) -> Any:
        """Return the rows of a table as of the run, as a Polars lazy frame."""
        return self._asked(self.lake.read, name, equal)

    def _asked(self, ask: Callable[..., Any], name: str, equal: Mapping[str, Any]) -> Any:
        """Call a reader of the lake for the version of a table as of the run."""
        versions = self.versions
        dated: dict[str, Any] = {"until": self.day, "ledger": versions.get(LEDGER)} if "source_file" in TABLES[name].names else {}
        try:
            return ask(name, version=versions.get(name), **dated, **equal)
        except (InputError, OSError) as error:  # the log may still know a version whose files were removed
            raise InputError(_gone(self.day, first_line(error))) from None

    def frame(self, name: str, **equal: Any) -> pd.DataFrame:
        """Return the rows of a table as of the run, with every column of the contract; read once for all pages."""
        key = *self._versions_of(name), name, *((column, str(value)) for column, value in equal.items())
        read = partial(self._asked, self.lake.frame, name, equal)
        return self.once(key, lambda: read().reindex(columns=TABLES[name].names))  # a column may be younger than the version

    def history(self, days: list[dt.date], *columns: str) -> pd.DataFrame:
        """Return some columns of the customers of some run dates."""
        rows: pd.DataFrame = (
            self.read(HISTORY, UpdateDate=days).select("CustomerID", "UpdateDate", *columns).collect().to_pandas()
        )
        return rows

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what is kept under a key, made on first use."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _versions_of(self, name: str) -> tuple[int | None, ...]:
        """Return the versions of a table and of the ledger, which says which of its rows are of the run."""
        return self.versions.get(name), self.versions.get(LEDGER)


def _gone(day: dt.date, why: str) -> str:
    """Return the message about a run whose table versions were removed."""
    return (
        f"{day}: the tables of that run are gone ({why}); past versions are kept for [care] retain_days, "
        f"so run the day again: rfm daily --date {day}"
    )


# ── figures ────────────────────────────────────────────────────────────
MOST_ROWS = 60  # of the table under a figure


def drawn(picture: Any, alt: str = "", table: Any = None, columns: Mapping[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return a figure of plotly or matplotlib for the template, optionally with the table that says the same."""
    if hasattr(picture, "base64_png"):
        given = _image(picture)
    else:
        given = _plot(picture) | ({"table": _plotted(picture)} if table is None else {})
    return {"table": None} | given | {"alt": alt or given["alt"]} | ({} if table is None else {"table": rows_of(table, columns)})


def _plot(picture: Any) -> dict[str, Any]:
    return {"height": picture.layout.height or 420, **figure(json.loads(picture.to_json()))}


def _plotted(picture: Any) -> dict[str, Any]:
    """Return as rows what is in a plotly figure that comes without a table: its cells, boxes or groups of points."""
    head, rows = [_("Group"), _("Points")], []
    for trace in picture.data:
        if trace.type == "heatmap":
            named = (("yaxis", _("Who")), ("xaxis", _("What")))
            head = [*(getattr(picture.layout, axis).title.text or other for axis, other in named), _("Shown")]
            cells = [
                (y, x, text) for y, row in zip(trace.y, trace.text, strict=True) for x, text in zip(trace.x, row, strict=True)
            ]
            rows += [[str(part).replace("<br>", " · ") for part in cell] for cell in cells if cell[2]]
        elif trace.type == "box":
            head = [_("Of whom"), _("A quarter is below"), _("Half is below"), _("Three quarters are below")]
            unit = picture.layout[str(trace.xaxis).replace("x", "xaxis")].title.text
            quarters = zip(trace.y or (), trace.q1 or (), trace.median or (), trace.q3 or (), strict=True)
            rows += [[f"{name}, {unit}", *(formatting.number(Decimal(str(one))) for one in found)] for name, *found in quarters]
        else:
            rows.append([trace.name, formatting.number(len(trace.x))])
    return rows_of(pd.DataFrame(rows, columns=head))


def _image(picture: Any) -> dict[str, Any]:
    """Return an image whose title is the caption instead, which wraps and is read aloud."""
    given = {"title": picture.get_suptitle(), "subtitle": "", "alt": picture.alt}
    picture.suptitle("")
    width, height = map(int, picture.bbox.size)
    return given | {"image": picture.base64_png(), "width": width, "height": height}


def rows_of(frame: Any, columns: Mapping[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return the first rows of a frame as plain values, with a heading and a form per column."""
    columns = columns or {name: (str(name), "text") for name in frame.columns}
    shown = frame[list(columns)].head(MOST_ROWS).astype(object)
    rows = shown.where(shown.notna(), None).to_numpy().tolist()
    return {
        "head": [(_(heading), form, HEADINGS.get(heading, "")) for heading, form in columns.values()],
        "rows": [[_plain(value) for value in row] for row in rows],
        "more": len(frame) - len(shown),
    }


def exact(value: Any) -> Any:
    """Return an amount as exact text, and anything else unchanged."""
    return str(value) if isinstance(value, Decimal) else value


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: numbers and booleans unchanged, all else as text."""
    return value if value is None or isinstance(value, bool | int | float) else str(value)


PLOTLY = "application/vnd.plotly.v1+json"
MARKUP = re.compile(r"<(?!/?(?:b|i|br|extra)>)")  # plotly would take it for markup that our figures do not have, such as a link


def figure(drawn: Mapping[str, Any], under: str = "") -> dict[str, str]:
    """Return a plotly figure as caption and JSON; the caption is text of the page, which wraps and is read aloud."""
    layout = dict(drawn.get("layout", {}))
    head, more = _titles(layout.pop("title", None))
    meta = layout.get("meta")
    said = meta.get("alt") if isinstance(meta, Mapping) else None
    content = MARKUP.sub("&lt;", json.dumps({"data": drawn.get("data", []), "layout": layout}, separators=(",", ":")))
    for char in "<>&":
        content = content.replace(char, f"\\u{ord(char):04x}")
    alt = said or f"{head or under} {more}".strip() or _("Figure")
    return {"title": head or under, "subtitle": more, "alt": alt, "json": content}


def _titles(title: Any) -> tuple[str, str]:
    """Return title and subtitle as plain text; plotly separates them by ``<br>`` or by name."""
    title = title if isinstance(title, Mapping) else {"text": title}
    below = (title.get("subtitle") or {}).get("text") or ""
    lines = [*re.split(r"<br\s*/?>", title.get("text") or ""), below]
    head, *rest = [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in lines]
    return head, " ".join(filter(None, rest))
