"""From daily files to one row a customer: our road on Polars, with and without Delta, on pandas, and what a user would write."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from benchmarks.cases import Inputs, Outcome, Work


def on_polars(inputs: Inputs, scratch: Path) -> Work:
    """Read, clean and measure on Polars lazy frames, nothing written."""
    import polars as pl

    import rfm

    def work() -> tuple[Any, int]:
        bronze = pl.concat([pl.DataFrame(rows) for _, rows in arrived(inputs)])
        silver, _ = rfm.clean(bronze.lazy())
        return rfm.rfm_metrics(silver, inputs.day()).collect(), len(bronze)

    return work, _outcome


def on_delta(inputs: Inputs, scratch: Path, *, landing: str = "landing") -> Work:
    """Do the same through bronze, silver, quarantine and gold of a new lake, from the daily files of a folder."""
    import rfm

    lake = rfm.Lake(str(scratch / "lake"))

    def work() -> tuple[Any, int]:
        lines = rfm.ingest.write_bronze(lake, arrived(inputs, landing))
        new = rfm.ingest.files_to_clean(lake)
        silver, quarantine = rfm.clean(lake.read("retail_transactions_bronze", source_file=new))
        rfm.ingest.write_silver(lake, silver, quarantine, new)
        gold = rfm.rfm_metrics(lake.read("retail_transactions_silver", until=inputs.day()), inputs.day())
        lake.replace("customer_rfm_gold", gold)
        return lake.read("customer_rfm_gold").collect(), lines

    return work, _outcome


def on_pandas(inputs: Inputs, scratch: Path) -> Work:
    """Do what `on_polars` does, on pandas frames with Arrow types."""
    import pandas as pd

    import rfm

    def work() -> tuple[Any, int]:
        bronze = pd.concat([rows.to_pandas(types_mapper=pd.ArrowDtype) for _, rows in arrived(inputs)])
        silver, _ = rfm.clean(bronze)
        return rfm.rfm_metrics(silver, inputs.day()), len(bronze)

    return work, _outcome


def arrived(inputs: Inputs, landing: str = "landing") -> Any:
    """Read all files of a prepared folder as our landing does."""
    import rfm

    folder = str((inputs.folder / landing).resolve())
    return rfm.read_files(folder, rfm.list_files(folder, until=inputs.day()), inputs.day())


def exact(inputs: Inputs, scratch: Path) -> Work:
    """Do the same work as our road, written with pandas: bronze as text, exact money, a quarantine with reasons."""
    import pandas as pd

    def work() -> tuple[Any, int]:
        read = {path.name: pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""]) for path in inputs.files}
        bronze = pd.concat(read, names=["source_file"]).reset_index("source_file")
        silver, quarantine = _exact_layers(bronze)
        assert len(bronze) == len(silver) + len(quarantine)
        return _plain_gold(silver, pd.Timestamp(inputs.day())), len(bronze)

    return work, _outcome


def _exact_layers(bronze: Any) -> tuple[Any, Any]:
    """Type the lines, prices as decimals rounded half up; part the good from the refused, with all reasons."""
    import pandas as pd

    typed = bronze.rename(columns={"Invoice": "InvoiceNo", "Customer ID": "CustomerID"})
    typed["Quantity"] = pd.to_numeric(typed["Quantity"], errors="coerce")
    typed["UnitPrice"] = typed["Price"].map(_price)
    typed["InvoiceDate"] = pd.to_datetime(typed["InvoiceDate"], format="%Y-%m-%d", errors="coerce")
    typed["CustomerID"] = typed["CustomerID"].str.replace(".0", "", regex=False)
    broken = {
        "valid_invoice_no": ~typed["InvoiceNo"].str.len().between(6, 7),
        "valid_stock_code": typed["StockCode"].isna(),
        "valid_quantity": ~(typed["Quantity"] > 0),
        "valid_unit_price": typed["UnitPrice"].map(lambda price: price is None or price < 0),
        "valid_invoice_date": typed["InvoiceDate"].isna(),
    }
    refused = pd.concat(broken, axis=1)
    bad = refused.any(axis=1)
    reasons = refused[bad].apply(lambda row: ",".join(row.index[row]), axis=1)
    silver = typed[~bad].copy()
    silver["TotalPrice"] = silver["Quantity"].astype(int) * silver["UnitPrice"]
    return silver, bronze[bad].assign(failed_expectations=reasons)


def _price(text: Any) -> Decimal | None:
    """Return a price in whole cents as a decimal, rounded half up; nothing if it is none."""
    try:
        return Decimal(text).quantize(Decimal("0.01"), ROUND_HALF_UP)
    except (ArithmeticError, TypeError, ValueError):
        return None


def plain(inputs: Inputs, scratch: Path) -> Work:
    """Do the least that gives gold, with pandas: money as floats, bad lines dropped and not kept."""
    import pandas as pd

    def work() -> tuple[Any, int]:
        texts = {"Invoice": str, "StockCode": str, "Customer ID": str}
        lines = pd.concat([pd.read_csv(path, dtype=texts) for path in inputs.files], ignore_index=True)
        return _plain_gold(_plain_silver(lines), pd.Timestamp(inputs.day())), len(lines)

    return work, _outcome


def _plain_silver(lines: Any) -> Any:
    """Type the lines and keep the good ones; prices are rounded half up."""
    import numpy as np
    import pandas as pd

    lines = lines.rename(columns={"Invoice": "InvoiceNo", "Customer ID": "CustomerID"})
    lines["Quantity"] = pd.to_numeric(lines["Quantity"], errors="coerce")
    lines["UnitPrice"] = np.floor(pd.to_numeric(lines["Price"], errors="coerce") * 100 + 0.5) / 100
    lines["InvoiceDate"] = pd.to_datetime(lines["InvoiceDate"], format="%Y-%m-%d", errors="coerce")
    lines["CustomerID"] = lines["CustomerID"].str.replace(".0", "", regex=False)
    lines["TotalPrice"] = lines["Quantity"] * lines["UnitPrice"]
    good = lines["InvoiceNo"].str.len().between(6, 7) & lines["StockCode"].notna() & lines["InvoiceDate"].notna()
    return lines[good & (lines["Quantity"] > 0) & (lines["UnitPrice"] >= 0)]


def _plain_gold(silver: Any, day: Any) -> Any:
    """Return recency, frequency and monetary value of each customer."""
    product = silver["StockCode"].str.contains(r"^(?:[0-9]{5}[A-Za-z]*|PADS)$")
    sold = ~silver["InvoiceNo"].str.startswith(("C", "c")) & silver["CustomerID"].notna() & (silver["InvoiceDate"] <= day)
    gold = (
        silver[sold & product]
        .groupby("CustomerID", as_index=False)
        .agg(MaxInvoiceDate=("InvoiceDate", "max"), Frequency=("InvoiceNo", "nunique"), Monetary=("TotalPrice", "sum"))
    )
    gold["Recency"] = (day - gold["MaxInvoiceDate"]).dt.days
    return gold


def _outcome(found: tuple[Any, int]) -> Outcome:
    """Return the sums of gold, in any frame, and the lines read."""
    gold, lines = found
    return Outcome(sums(gold), lines)


def sums(gold: Any) -> dict[str, Any]:
    """Return what two tables of gold must share: customers, orders, revenue to the cent, days of recency."""
    total: Callable[[str], Any] = lambda name: gold[name].sum()
    return {
        "customers": len(gold),
        "orders": int(total("Frequency")),
        "revenue": f"{total('Monetary'):.2f}",
        "recency": int(total("Recency")),
    }
