"""The chain as data: its stages in order, each a notebook, with the tables that it reads and writes."""

from __future__ import annotations

from typing import NamedTuple

from rfm import contracts as tables
from rfm.contracts import BRONZE, CLUSTER_MODELS, CLUSTERED, GOLD, HISTORY, LEDGER, OF_THE_DAY, QUARANTINE, RUN_WARNINGS, SILVER


class Stage(NamedTuple):
    """A notebook of the chain: its name, its title, the tables it reads and writes."""

    name: str
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    new_from: str = ""  # the table, or the landing folder, of which only new rows are read
    new_into: tuple[str, ...] = ()  # the tables in which each of these rows ends, once


LANDING = "landing"
RUN, BACKFILL = "run", "backfill"  # names of a whole run in the log of runs
EXPORTS = "exports"  # folder of a run with the lists of customers, beside its pages
OF_EACH = (tables.CUSTOMER_STATES, tables.CUSTOMER_FORECAST, tables.RELIABILITY, tables.MIGRATION)  # a day overwrites them

INGEST = Stage("1_bronze", "everything that arrived", (), (BRONZE, LEDGER, RUN_WARNINGS), LANDING, (BRONZE,))
CLEAN = Stage(
    "2_silver",
    "clean and typed",
    (BRONZE, LEDGER),
    (SILVER, QUARANTINE, LEDGER, *tables.QUALITY_TABLES, RUN_WARNINGS),
    BRONZE,
    (SILVER, QUARANTINE),
)
MEASURE = Stage("3_gold", "one row per customer", (SILVER, LEDGER), (GOLD,))
CLUSTER = Stage(
    "4_clusters",
    "customers who behave alike",
    (GOLD, SILVER, LEDGER, CLUSTER_MODELS, HISTORY),
    (CLUSTERED, CLUSTER_MODELS, tables.FIT_EXCLUSIONS),
)
SEGMENT = Stage(
    "5_segments",
    "a name and an action for everyone",
    (CLUSTERED, CLUSTER_MODELS, HISTORY, LEDGER),
    (*OF_THE_DAY, *tables.OVER_TIME, RUN_WARNINGS, CLUSTER_MODELS),
)
STATE = Stage(
    "6_states",
    "who is leaving, and whom to call",
    (tables.DESCRIBED_CUSTOMERS, SILVER, LEDGER, tables.CAMPAIGNS, tables.CAMPAIGN_MEMBERS),
    (*OF_EACH, tables.CAMPAIGN_RESULTS),
)
REPORT = Stage("7_report", "who they are and what to do", (tables.DESCRIBED_CUSTOMERS, tables.DESCRIBED_CLUSTERS), ())
STAGES = (INGEST, CLEAN, MEASURE, CLUSTER, SEGMENT, STATE, REPORT)
TABLES_STAND = STATE.name  # the stage that writes the last table; the one after it only shows them
RESULTS = (GOLD, CLUSTERED, CLUSTER_MODELS, *OF_THE_DAY, *OF_EACH)
