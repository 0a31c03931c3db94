"""The contracts of the tables of customers, from gold on: part of `rfm.schema`, which everyone reads them from."""

from __future__ import annotations

from rfm.contract import Column, Table

OUTLIER_LABELS = {-1: "spend outlier", -2: "frequency outlier", -3: "spend and frequency outlier"}
"""What the clusters of outliers are called."""

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
_SCORED = ("Recency", "Frequency", "Monetary")
_LABEL = Column("Cluster_Label", "STRING", "segment, and what tells clusters of one segment apart: which outliers, or the number")
_EXPLANATION = Column("Explanation", "STRING", "what the middle customer is like, and the cut-offs that give the segment")
_WAY = "segments (of the clusters), tiers (value and engagement) or scores (their names)"


def _statistics(total: str) -> tuple[Column, ...]:
    """Return the columns of a summary: a count, and average and median of each metric."""
    units = {"Monetary": "currency", "Frequency": "invoices", "Recency": "days"}
    values = (
        Column(f"{how}{metric}", "DOUBLE", f"{how.lower()} {metric}, rounded to 2", unit=unit)
        for metric, unit in units.items()
        for how in ("Average", "Median")
    )
    return Column(total, "BIGINT", "customers", unit="customers", bounds=(1, None)), *values


def _customers(*names: str) -> tuple[Column, ...]:
    """Return columns that count customers."""
    return tuple(Column(name, "BIGINT", _COUNTED[name], unit="customers", bounds=(0, None)) for name in names)


_COUNTED = {
    "Customers": "customers who went this way, or stayed",
    "Bought": "of those who changed: bought since",
    "TimePassed": "did not buy; the model of then gives them today's segment",
    "ModelChanged": "did not buy; the model of then gives them another",
    "Compared": "customers without a purchase since",
    "Renamed": "of them, those with another segment",
}

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
    Table(
        "fit_exclusions",
        "a customer kept out of the fit on a run date, and a reason",
        ("CustomerID", "UpdateDate", "Reason"),
        (
            _CUSTOMER,
            _UPDATE,
            Column("Reason", "STRING", "bulk order or test transaction, as [exclusions] has it"),
            Column("Invoices", "BIGINT", "invoices that give the reason", unit="invoices", bounds=(1, None)),
            Column("Amount", "DECIMAL(18,2)", "what these invoices came to, exact", unit="currency", bounds=(0, None)),
        ),
    ),
    Table(
        "segment_movement",
        "a move from one segment to another over a period",
        ("UpdateDate", "Days", "From_Segment", "To_Segment"),
        (
            _UPDATE,
            Column("Days", "INT", "period asked for: 1, 7 or 30", unit="days"),
            Column("Since", "DATE", "run date that is compared with"),
            Column("From_Segment", "STRING", "segment then; empty for new customers"),
            Column("To_Segment", "STRING", "segment now"),
            *_customers("Customers"),
            Column("Revenue", "DECIMAL(18,2)", "sum of their Monetary today, exact", unit="currency", bounds=(0, None)),
            *_customers("Bought", "TimePassed", "ModelChanged"),
        ),
    ),
    Table(
        "segment_stability",
        "a run date",
        ("UpdateDate",),
        (
            _UPDATE,
            Column("Method", "STRING", "full: fitted afresh; warm: grown from the model of the run before"),
            Column("FittedOn", "DATE", "run date of the last full fit"),
            Column("Previous", "DATE", "run date that is compared with", nullable=True),
            Column("k", "INT", "number of clusters", bounds=(1, None)),
            Column("KMargin", "DOUBLE", "score of k over the best other, as a share; below 0: k is held", nullable=True),
            *_customers("Compared", "Renamed"),
            Column("RenamedShare", "DOUBLE", "Renamed / Compared", True, bounds=(0, 1)),
            Column("AdjustedRand", "DOUBLE", "of the clusters then and now of those compared; 1: the same", True, bounds=(-1, 1)),
            Column("Drift", "DOUBLE", "largest move of a centroid since, in standard deviations", True, bounds=(0, None)),
            Column("Silhouette", "DOUBLE", "mean silhouette of the fit", bounds=(-1, 1)),
        ),
    ),
    Table("cluster_summary", "a cluster", ("Cluster",), (_CLUSTER, *_statistics("Count"))),
    Table(
        "cluster_description_and_recommendation",
        "a cluster",
        ("Cluster",),
        (_CLUSTER, *_statistics("Count"), _SEGMENT, _TIER, _ACTION, _LABEL, _EXPLANATION),
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
            _EXPLANATION,
        ),
    ),
    Table(
        "customer_segmentations",
        "a customer as of the run date",
        ("CustomerID",),
        (
            _CUSTOMER,
            _UPDATE,
            Column("Segment", "STRING", "segment of the cluster"),
            Column("ValueTier", "STRING", "High, Growing or Base, by the monetary cut-offs"),
            Column("Engagement", "STRING", "Active & Engaged, At Risk, Developing or Inactive, by recency and frequency"),
            *(Column(f"{name[0]}Score", "INT", f"{name} score, 5 is best", bounds=(1, 5)) for name in _SCORED),
            Column("RFMScore", "STRING", "the three scores as digits, as 545"),
            Column("ScoreName", "STRING", "one of the eleven usual names, by the scores"),
        ),
    ),
    Table(
        "segmentation_agreement",
        "two ways to segment, on a run date",
        ("UpdateDate", "First", "Second"),
        (
            _UPDATE,
            Column("First", "STRING", _WAY),
            Column("Second", "STRING", _WAY),
            Column("AdjustedRand", "DOUBLE", "adjusted Rand index: 1 the same groups, 0 as chance has it", bounds=(-1, 1)),
            Column("SameShare", "DOUBLE", "customers in the group of Second that most of theirs in First are in", bounds=(0, 1)),
        ),
    ),
    Table(
        "customer_explanations",
        "a customer as of the run date",
        ("CustomerID",),
        (
            _CUSTOMER,
            _UPDATE,
            Column("Why", "STRING", "why the customer is in its segment, and what would change that, by the model of the day"),
            Column("Next_Segment", "STRING", "segment of the nearest cluster that has another one; none for outliers", True),
            Column("Distance", "DOUBLE", "from it: 0 on the border, 1 at the own centre; below 0 beyond", True, bounds=(-1, 1)),
        ),
    ),
)
