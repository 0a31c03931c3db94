"""The same on Spark: from one Parquet file of silver to one row a customer, on classic Spark and on Sail; the daily run on Sail.

Servers and sessions are up before the clock starts, those of classic Spark (one JVM, two threads) in a program of an
environment of its own, ``RFM_CLASSIC_SPARK``; this file is that program, too: ``python spark.py FILE DAY``.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cases import ROOT, Inputs, Outcome, Work
from benchmarks.gold import arrived, sums

SILVER = "silver.parquet"
LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
OPTIONS = {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC"}
OPTIONS |= {"spark.sql.shuffle.partitions": "4", "spark.driver.memory": "2g"}


class Elsewhere(NamedTuple):
    """An outcome whose memory is that of another process: MB at the most."""

    same: dict[str, Any]
    units: int
    stages: list[dict[str, Any]]
    peak: float


def silver(inputs: Inputs) -> dict[str, Any]:
    """Prepare one Parquet file with all rows of silver."""
    import polars as pl

    import rfm

    bronze = pl.concat([pl.DataFrame(rows) for _, rows in arrived(inputs)])
    rows = rfm.clean(bronze.lazy())[0].collect()
    rows.write_parquet(inputs.folder / SILVER, compression="zstd")
    return {"rows": len(rows)}


def on_polars(inputs: Inputs, scratch: Path) -> Work:
    """Measure on Polars: the baseline."""
    import polars as pl

    import rfm

    work = lambda: rfm.rfm_metrics(pl.scan_parquet(inputs.folder / SILVER), inputs.day()).collect()
    return work, lambda gold: Outcome(sums(gold), _rows(inputs))


def on_sail(inputs: Inputs, scratch: Path) -> Work:
    """Measure on Sail; what is one row a customer comes home."""
    import rfm
    from rfm.lake.spark import session

    spark = session(_server())
    work = lambda: rfm.rfm_metrics(spark.read.parquet(str(inputs.folder / SILVER)), inputs.day()).toArrow().to_pandas()
    return work, lambda gold: Outcome(sums(gold), _rows(inputs))


def on_classic(inputs: Inputs, scratch: Path) -> Work:
    """Measure on classic Spark in its own process, which says when it is ready, and starts at a word."""
    python = os.environ.get("RFM_CLASSIC_SPARK")
    if not python:
        raise RuntimeError("set RFM_CLASSIC_SPARK to the python of an environment with pyspark; .ci/run makes one")
    command = [python, __file__, str(inputs.folder / SILVER), str(inputs.day())]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    program = subprocess.Popen(command, **pipes, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=scratch)
    assert program.stdout.readline() == "ready\n", "classic Spark does not start"

    def work() -> dict[str, Any]:
        print(file=program.stdin, flush=True)
        return json.loads(program.stdout.readline())

    def outcome(told: dict[str, Any]) -> Elsewhere:
        program.communicate()
        return Elsewhere(told["same"], _rows(inputs), [], told["peak"])

    return work, outcome


def daily(inputs: Inputs, scratch: Path) -> Work:
    """Run all notebooks on Sail and publish; only the last day is new."""
    from benchmarks import runs

    os.environ |= {"RFM_ENGINE": "spark", "RFM_REMOTE": _server()}
    return runs.daily(inputs, scratch, start="before")


_SERVERS: list[Any] = []  # a server ends with its object


def _server() -> str:
    """Start Sail on loopback, in this process; return its address."""
    from pysail.spark import SparkConnectServer

    os.environ.setdefault("RUST_LOG", "error")
    _SERVERS.append(SparkConnectServer("127.0.0.1", 0))
    _SERVERS[-1].start(background=True)
    return f"sc://127.0.0.1:{_SERVERS[-1].listening_address[1]}"


def _rows(inputs: Inputs) -> int:
    """Return the rows of silver."""
    import pyarrow.parquet as pq

    return pq.read_metadata(inputs.folder / SILVER).num_rows


def main(file: str, day: dt.date) -> None:
    """Be ready, wait for a word, measure on classic Spark, say what was found and the memory of the JVM."""
    from pyspark.sql import SparkSession

    from rfm.analysis.metrics import rfm_metrics

    os.environ.update(LOOPBACK)
    spark = SparkSession.builder.master("local[2]").appName("rfm").config(map=OPTIONS).getOrCreate()
    spark.range(1).count()
    print("ready", flush=True)
    sys.stdin.readline()
    gold = rfm_metrics(spark.read.parquet(file), day).toArrow().to_pandas()
    jvm = Path(f"/proc/{spark.sparkContext._gateway.proc.pid}/status").read_text()
    print(json.dumps({"same": sums(gold), "peak": int(re.search(r"VmHWM:\s+(\d+)", jvm)[1]) / 1024}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], dt.date.fromisoformat(sys.argv[2]))
