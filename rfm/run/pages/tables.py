"""The tables of one run, for its pages: as they stood when the run ended, whatever has been written since."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import rfm
from rfm.core import trade
from rfm.errors import first_line
from rfm.schema import TABLES, InputError
from rfm.sections import Rules
from rfm.settings import Settings, is_catalog_name

if TYPE_CHECKING:
    import pandas as pd

    from rfm.io.lake import Lake

LEDGER, SILVER, CUSTOMERS = "landing_files", "retail_transactions_silver", "customer_rfm_kmeans_clustered"


@dataclass(frozen=True)
class RunTables:
    """What the builder of a page is given: the tables of a run, its record and the settings.

    Parameters
    ----------
    settings
        Where the lake is; the shop's name and currency.
    record
        The run record; it names the version of each table that the run read or wrote.
    """

    settings: Settings
    record: Mapping[str, Any]
    _kept: dict[Any, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def lake(self) -> Lake:
        """The lake as it is now."""
        return rfm.open_lake(self.settings)

    @property
    def day(self) -> dt.date:
        """The run date."""
        return dt.date.fromisoformat(self.record["run_date"])

    @property
    def currency(self) -> str:
        """Sign before an amount."""
        return str(self.record.get("parameters", {}).get("currency") or self.settings.shop.currency)

    @cached_property
    def versions(self) -> dict[str, int]:
        """Version of each table when the run ended."""
        stages = self.record.get("stages", ())
        states = (states for stage in stages for states in (stage.get("reads", {}), stage.get("writes", {})))
        return {name: int(state["version"]) for found in states for name, state in found.items()}

    @cached_property
    def orders(self) -> pd.DataFrame:
        """The orders up to the run date, by the rules of the run: what Overview and Trade are made of."""
        return trade.orders(self.read(SILVER), self.day, stock_code_pattern=self.rules.stock_code_pattern)

    @property
    def rules(self) -> Rules:
        """What counted in the run."""
        return Rules.model_validate(self.record.get("settings", {}).get("rules") or self.settings.rules.model_dump())

    def stand(self) -> None:
        """Raise InputError if the tables, of which a catalog shows the newest version alone, are those of another day."""
        if is_catalog_name(self.settings.lake):
            found = self.lake.rows(CUSTOMERS, columns=["UpdateDate"])["UpdateDate"].unique().to_list()
            if found != [self.day]:
                raise InputError(_gone(self.day, f"{self.settings.lake} holds another day now"))

    def read(self, name: str, **equal: Any) -> Any:
        """Return the rows of a table that the run saw, as a Polars lazy frame.

        Parameters
        ----------
        name
            Name of the table; one that the run neither read nor wrote is read as it is now.
        **equal
            Column and value, or values, that a row must have; as for `rfm.Lake.read`.

        Raises
        ------
        InputError
            If the version that the run left is gone.
        """
        return self._asked(self.lake.read, name, equal)

    def _asked(self, ask: Callable[..., Any], name: str, equal: Mapping[str, Any]) -> Any:
        """Ask the lake for the version of a table that the run saw."""
        versions = self.versions
        dated: dict[str, Any] = {"until": self.day, "ledger": versions.get(LEDGER)} if "source_file" in TABLES[name].names else {}
        try:
            return ask(name, version=versions.get(name), **dated, **equal)
        except (InputError, OSError) as error:  # the log may still know a version whose files were removed
            raise InputError(_gone(self.day, first_line(error))) from None

    def frame(self, name: str, **equal: Any) -> pd.DataFrame:
        """Return the rows of a table that the run saw, with every column of the contract; read once for all pages.

        Parameters as for `read`; InputError if the files of that version are gone.
        """
        key = name, *((column, str(value)) for column, value in equal.items())
        if key not in self._kept:
            frame = self._asked(self.lake.frame, name, equal)
            self._kept[key] = frame.reindex(columns=TABLES[name].names)  # a column may be younger than the version
        return self._kept[key]


def _gone(day: dt.date, why: str) -> str:
    """Say that a past run cannot be looked at any more."""
    return (
        f"{day}: the tables of that run are gone ({why}); past versions are kept for [care] retain_days, "
        f"so run the day again: rfm daily --date {day}"
    )
