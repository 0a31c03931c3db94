"""The chain as data: each stage is a notebook, and says which tables it reads and writes."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """A notebook of the chain: its name, what it is, the tables it reads and writes."""

    name: str
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


EXPORTS = "exports"  # folder of a run with the lists of customers, beside its pages
HISTORY = "customer_rfm_kmeans_clustered_history"
STAGES: tuple[Stage, ...] = (
    Stage("1_bronze", "everything that arrived", (), ("retail_transactions_bronze", "landing_files", "run_warnings")),
    Stage(
        "2_silver",
        "clean and typed",
        ("retail_transactions_bronze", "landing_files"),
        (
            "retail_transactions_silver",
            "retail_transactions_quarantine",
            "landing_files",
            "bronze_daily_quality",
            "daily_counts",
            "bronze_silver_dq_comparison",
            "expectation_results",
            "quality_metrics",
            "daily_volume",
            "run_warnings",
        ),
    ),
    Stage("3_gold", "one row per customer", ("retail_transactions_silver", "landing_files"), ("customer_rfm_gold",)),
    Stage(
        "4_clusters",
        "customers who behave alike",
        ("customer_rfm_gold", "retail_transactions_silver", "landing_files", "cluster_models", HISTORY),
        ("customer_rfm_kmeans_clustered", "cluster_models", "fit_exclusions"),
    ),
    Stage(
        "5_segments",
        "a name and an action for everyone",
        ("customer_rfm_kmeans_clustered", "cluster_models", HISTORY, "landing_files"),
        (
            "cluster_summary",
            "cluster_description_and_recommendation",
            "customer_rfm_description_and_recommendation",
            "segment_summary",
            "customer_segmentations",
            "customer_explanations",
            "segmentation_agreement",
            HISTORY,
            "segment_movement",
            "segment_stability",
            "run_warnings",
            "cluster_models",
        ),
    ),
    Stage(
        "6_report",
        "who they are and what to do",
        ("customer_rfm_description_and_recommendation", "cluster_description_and_recommendation"),
        (),
    ),
)
TABLES_STAND = STAGES[-2].name  # the stage that writes the last table; the one after it only shows them
RESULTS = (
    "customer_rfm_gold",
    "customer_rfm_kmeans_clustered",
    "cluster_models",
    "cluster_summary",
    "cluster_description_and_recommendation",
    "customer_rfm_description_and_recommendation",
    "segment_summary",
    "customer_segmentations",
    "customer_explanations",
)
