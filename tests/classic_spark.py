"""`rfm.analysis` on classic Spark: a master and two workers on loopback, tables as Parquet. Runs in its own environment.

    python classic_spark.py FOLDER RUN_DATE [--kill]

FOLDER holds ``bronze.parquet``; silver, quarantine and gold are written beside it. With ``--kill`` one worker is
killed as soon as tasks run, and the other finishes the work. One line of JSON says what was done.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rfm.analysis.cleaning import clean
from rfm.analysis.metrics import rfm_metrics

LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1", "PYSPARK_PYTHON": sys.executable}


def start(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a Spark process that writes to a log."""
    import pyspark  # not at the top: whoever collects the tests may have the client alone

    launcher = Path(pyspark.__file__).parent / "bin" / "spark-class"
    with log.open("wb") as out:
        return subprocess.Popen([str(launcher), *arguments], stdout=out, stderr=out)


def found(pattern: str, log: Path, times: int = 1) -> re.Match[str]:
    """Wait until a log has lines that match a pattern; return the last match."""
    for _ in range(600):
        lines = list(re.finditer(pattern, log.read_text(errors="replace")))
        if len(lines) >= times:
            return lines[times - 1]
        time.sleep(0.1)
    raise TimeoutError(f"{log}: {pattern}")


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Yield the address of a master, and its two workers."""
    log, processes = folder / "master.log", []
    local = ("--host", "127.0.0.1")
    try:
        processes.append(start("org.apache.spark.deploy.master.Master", *local, "--port", "0", "--webui-port", "0", log=log))
        address = found(r"spark://127\.0\.0\.1:\d+", log).group()
        for number in (1, 2):
            given = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", str(folder / f"work{number}"), address)
            processes.append(start("org.apache.spark.deploy.worker.Worker", *local, *given, log=folder / f"worker{number}.log"))
        found("Registering worker", log, times=2)
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def kill_when_busy(spark: Any, worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker and its executor when tasks run on both."""
    tracker = spark.sparkContext.statusTracker()
    stages = lambda: filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
    while not any(stage.numActiveTasks >= 2 for stage in stages()):
        time.sleep(0.01)
    executor = subprocess.run(["pgrep", "-P", str(worker.pid)], capture_output=True, text=True).stdout.split()
    worker.kill()
    for pid in executor:
        os.kill(int(pid), signal.SIGKILL)


def work(spark: Any, folder: Path, as_of: dt.date) -> dict[str, int]:
    """Clean bronze and make gold, each a Parquet table; return their rows."""
    bronze = spark.read.parquet(str(folder / "bronze.parquet")).repartition(8)
    silver, quarantine = clean(bronze)
    silver.write.mode("overwrite").parquet(str(folder / "silver"))
    quarantine.write.mode("overwrite").parquet(str(folder / "quarantine"))
    gold = rfm_metrics(spark.read.parquet(str(folder / "silver")), as_of)
    gold.write.mode("overwrite").parquet(str(folder / "gold"))
    return {name: spark.read.parquet(str(folder / name)).count() for name in ("silver", "quarantine", "gold")}


OPTIONS = {
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.shuffle.partitions": "4",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
}


def main(folder: Path, as_of: dt.date, kill: bool) -> None:
    """Run `rfm.analysis` on a cluster of two workers, one of which may be killed."""
    from pyspark.sql import SparkSession

    os.environ.update(LOOPBACK)
    started = time.monotonic()
    with cluster(folder) as (address, workers):
        spark = SparkSession.builder.master(address).appName("rfm").config(map=OPTIONS).getOrCreate()
        while len(executors(spark)) < 2:
            time.sleep(0.1)
        ready = time.monotonic()
        if kill:
            threading.Thread(target=kill_when_busy, args=(spark, workers[0]), daemon=True).start()
        rows = work(spark, folder, as_of)
        done, alive = time.monotonic(), sum(worker.poll() is None for worker in workers)
        spark.stop()
    print(json.dumps({"rows": rows, "start": round(ready - started, 1), "seconds": round(done - ready, 1), "alive": alive}))


def executors(spark: Any) -> list[str]:
    """Return the addresses of the executors, without the driver."""
    status = spark.sparkContext._jsc.sc().getExecutorMemoryStatus()
    names = [str(status.keys().toList().apply(number)) for number in range(status.size())]
    driver = spark.sparkContext._jsc.sc().env().blockManager().blockManagerId().hostPort()
    return [name for name in names if name != driver]


if __name__ == "__main__":
    main(Path(sys.argv[1]), dt.date.fromisoformat(sys.argv[2]), "--kill" in sys.argv)
