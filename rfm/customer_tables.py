"""The contracts of the tables of customers, from gold on: part of `rfm.schema`, which everyone reads them from."""

from __future__ import annotations

from rfm.contract import Column, Table

_CUSTOMER = Column("CustomerID", "STRING", "the customer")
_METRICS = (
    Column("MaxInvoiceDate", "DATE", "last purchase"),
    Column("Recency", "INT", "days from the last purchase to the run date; small is good", unit="days", bounds=(0, None)),
    Column("Frequency", "INT", "distinct invoices", unit="invoices", bounds=(1, None)),
    Column("Monetary", "DECIMAL(18,2)", "sum of TotalPrice, exact", unit="currency", bounds=(0, None)),
)
_CLUSTER = Column("Cluster", "INT", "0, 1, … by falling median Monetary; -1, -2, -3 are outliers", bounds=(-3, None))
_UPDATE = Column("UpdateDate", "DATE", "run date")
_SEGMENT = Column("Cluster_Description", "STRING", "segment")
_TIER = Column("Tier", "STRING", "group of segments: premium, high value, active engagement, risk, growth and new")
_ACTION = Column("Cluster_Recommendation", "STRING", "recommended action")


def _statistics(total: str) -> tuple[Column, ...]:
    """Return the columns of a summary: a count, and average and median of each metric."""
    units = {"Monetary": "currency", "Frequency": "invoices", "Recency": "days"}
    values = (
        Column(f"{how}{metric}", "DOUBLE", f"{how.lower()} {metric}, rounded to 2", unit=unit)
        for metric, unit in units.items()
        for how in ("Average", "Median")
    )
    return Column(total, "BIGINT", "customers", unit="customers", bounds=(1, None)), *values


CUSTOMER_TABLES = (
    Table("customer_rfm_gold", "a customer as of the run date", ("CustomerID",), (_CUSTOMER, *_METRICS)),
    Table(
        "customer_rfm_kmeans_clustered",
        "a customer as of the run date",
        ("CustomerID",),
        (_CUSTOMER, *_METRICS, _CLUSTER, _UPDATE),
    ),
    Table(
        "customer_rfm_kmeans_clustered_history",
        "a customer on a run date",
        ("CustomerID", "UpdateDate"),
        (_CUSTOMER, *_METRICS, _CLUSTER, _UPDATE, _SEGMENT),
    ),
    Table(
        "cluster_models",
        "a run date",
        ("UpdateDate",),
        (
            _UPDATE,
            Column("k", "INT", "number of clusters", bounds=(1, None)),
            Column("model", "STRING", "JSON: scaler, centroids, scores of every k tried, code version"),
        ),
    ),
    Table("cluster_summary", "a cluster", ("Cluster",), (_CLUSTER, *_statistics("Count"))),
    Table(
        "cluster_description_and_recommendation",
        "a cluster",
        ("Cluster",),
        (_CLUSTER, *_statistics("Count"), _SEGMENT, _TIER, _ACTION),
    ),
    Table(
        "customer_rfm_description_and_recommendation",
        "a customer as of the run date",
        ("CustomerID",),
        (_CUSTOMER, *_METRICS, _CLUSTER, _UPDATE, _SEGMENT, _TIER, _ACTION),
    ),
    Table(
        "segment_summary",
        "a segment",
        ("Cluster_Description",),
        (
            _SEGMENT,
            _TIER,
            *_statistics("Customers"),
            Column("CustomerShare", "DOUBLE", "share of all customers", bounds=(0, 1)),
            Column("Revenue", "DECIMAL(18,2)", "sum of Monetary, exact", unit="currency", bounds=(0, None)),
            Column("RevenueShare", "DOUBLE", "share of all revenue", bounds=(0, 1)),
            _ACTION,
        ),
    ),
)
