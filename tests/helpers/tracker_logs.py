"""Makes the databases and offline runs of trackers, as their releases of today do.

The schemas are those of MLflow 3.17, Trackio 0.43 (and before 0.24), neptune-scale 0.30,
SwanLab 0.10 (and 0.6), ClearML 2.1 and Comet 3.58, without the tables that no reader uses.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

from helpers.records import field, leveldb_file

from gradsound.logs.scalars import Scalars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

BEGIN = 1_796_007_585.5  # seconds since 1970 of step 0; each step takes half a second

_MLFLOW = """
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(256) NOT NULL, lifecycle_stage VARCHAR(32));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250),
    start_time BIGINT, lifecycle_stage VARCHAR(20), experiment_id INTEGER);
CREATE TABLE tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000),
    run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY ("key", run_uuid));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL,
    timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0',
    is_nan BOOLEAN DEFAULT '0' NOT NULL,
    PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, "key", step);
INSERT INTO experiments VALUES (0, 'Default', 'active'), (1, 'old', 'deleted');
"""
_TRACKIO = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL,
    timestamp TEXT NOT NULL, run_name TEXT NOT NULL, step INTEGER NOT NULL,
    metrics TEXT NOT NULL, log_id TEXT, space_id TEXT);
CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL);
CREATE INDEX idx_metrics_run_step ON metrics(run_id, step);
"""
_NEPTUNE = """
CREATE TABLE run_operations (sequence_id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL, operation_type INTEGER NOT NULL, operation BLOB NOT NULL,
    operation_size_bytes INTEGER NOT NULL);
CREATE TABLE metadata (id INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL,
    project TEXT NOT NULL, run_id TEXT NOT NULL);
"""


def make_mlflow_database(path: Path) -> None:
    """Makes a database of MLflow without runs."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_MLFLOW)


def add_mlflow_run(
    path: Path, run: str, name: str, stage: str = "active", experiment: int = 0
) -> None:
    """Adds a run, which begins after those before."""
    with closing(sqlite3.connect(path)) as database, database:
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
        row = (run, name, count, stage, experiment)
        database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", row)


def log_mlflow(path: Path, run: str, name: str, values: Mapping[int, float]) -> None:
    """Logs values of a metric by step; MLflow keeps NaN as 0 and bounds infinity."""
    largest = 1.7976931348623157e308
    with closing(sqlite3.connect(path)) as database, database:
        for step, value in values.items():
            is_nan = value != value
            number = 0.0 if is_nan else max(-largest, min(largest, value))
            time = int(1000 * (BEGIN + step / 2))
            row = (name, number, time, run, step, is_nan)
            database.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", row)


def make_trackio_database(path: Path, has_ids: bool = True) -> None:
    """Makes a database of Trackio without runs; releases before 0.24 have no ids."""
    schema = _TRACKIO
    if not has_ids:
        schema = schema.replace(" run_id TEXT NOT NULL,", "")
        schema = schema.replace(", run_id TEXT NOT NULL", "").replace("(run_id, ", "(")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(schema)


def log_trackio(
    path: Path, run: str | None, name: str, values: Mapping[int, Mapping[str, object]]
) -> None:
    """Logs values by step as JSON in BLOBs; all get the time of the first step."""
    with closing(sqlite3.connect(path)) as database, database:
        for step, metrics in values.items():
            row = [name, "2026-11-30T02:59:45.500000+00:00", step]
            columns = "run_name, timestamp, step, metrics"
            if run is not None:
                row, columns = [run, *row], f"run_id, {columns}"
            marks = ", ".join("?" * (len(row) + 1))
            text = json.dumps(metrics).encode()
            query = f"INSERT INTO metrics ({columns}) VALUES ({marks})"  # noqa: S608
            database.execute(query, [*row, text])


def make_neptune_database(path: Path, run: str, experiment: str) -> None:
    """Makes the database of a run of neptune-scale."""
    creation = field(4, run) + (field(5, experiment) if experiment else b"")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_NEPTUNE)
        database.execute("INSERT INTO metadata VALUES (1, 'v5', 'team/project', ?)", (run,))
        _add_operation(database, 1, creation)


def log_neptune(path: Path, values: Mapping[float, Mapping[str, float]]) -> None:
    """Logs values by step, as a row for each step."""
    with closing(sqlite3.connect(path)) as database, database:
        for step, metrics in values.items():
            _add_operation(database, 0, neptune_snapshot(step, metrics))


def neptune_snapshot(step: float, metrics: Mapping[str, float]) -> bytes:
    """Encodes an UpdateRunSnapshot; an encoder leaves out the numbers that are 0."""
    whole, micro = int(step), round(step % 1 * 1e6)
    place = (field(1, whole) if whole else b"") + (field(2, micro) if micro else b"")
    time = BEGIN + step / 2
    seconds = field(1, int(time)) + field(2, round(time % 1 * 1e9))
    appended = b"".join(
        field(8, field(1, name) + field(2, field(1, float(value))))
        for name, value in metrics.items()
    )
    attribute = field(4, field(1, "lr") + field(2, field(1, 0.25)))
    return field(1, place) + field(2, seconds) + appended + attribute


def _add_operation(database: sqlite3.Connection, kind: int, operation: bytes) -> None:
    database.execute(
        "INSERT INTO run_operations VALUES (NULL, 0, ?, ?, ?)",
        (kind, operation, len(operation)),
    )


def swanlab_scalar(name: str, step: int, value: float) -> bytes:
    """Encodes a record of SwanLab; its encoder leaves out the numbers that are 0."""
    time = BEGIN + step / 2
    seconds = field(1, int(time)) + field(2, round(time % 1 * 1e9))
    scalar = field(1, name) + (field(2, step) if step else b"") + field(3, 1)
    scalar += field(4, seconds) + field(5, field(1, float(value)) if value else b"")
    return field(1, 7) + field(2, seconds) + field(13, scalar)


def swanlab_line(name: str, step: int, value: float | str) -> bytes:
    """Encodes a record of SwanLab 0.6."""
    metric = {"index": step, "data": value, "create_time": "2026-11-30T02:59:45.5+00:00"}
    data = {"metric": metric, "key": name, "step": step, "epoch": 1}
    return json.dumps({"model_type": "Scalar", "data": data}).encode() + b"\n"


def swanlab_file(records: Iterable[bytes]) -> bytes:
    """Returns a run file of SwanLab 0.10, with a start and an end."""
    start = field(1, 2**64 - 1) + field(10, field(1, "project") + field(4, "first"))
    end = field(1, 2**64 - 2) + field(11, field(1, 1))
    return leveldb_file(b":SWL\xd6\xe1\2", [start, *records, end])


def clearml_event(title: str, series: str, step: int, value: float) -> dict[str, object]:
    """Returns an event of ClearML."""
    return {
        "timestamp": int(1000 * (BEGIN + step / 2)),
        "type": "training_stats_scalar",
        "task": "offline-916847f7a2ad48da8babfd853069e71c",
        "iter": step,
        "metric": title,
        "variant": series,
        "value": value,
        "method": "get",
    }


def clearml_lines(*batches: Iterable[Mapping[str, object]]) -> bytes:
    """Returns the lines of `metrics.jsonl`, one a batch of events."""
    return b"".join(json.dumps([*batch]).encode() + b"\n" for batch in batches)


def comet_lines(name: str, values: Mapping[int, object]) -> bytes:
    """Returns the lines of `messages.json` for the values of a metric by step."""
    lines: list[object] = [
        {"payload": {"key": "Name", "message_id": 1, "value": "x"}, "type": "log_other"}
    ]
    for step, value in values.items():
        metric = {"epoch": 0, "metricName": name, "metricValue": value, "step": step}
        time = int(1000 * (BEGIN + step / 2))
        payload = {"local_timestamp": time, "message_id": 2, "metric": metric}
        lines.append({"payload": payload, "type": "metric_msg"})
    texts = (json.dumps(line, separators=(",", ":")) for line in lines)
    return "".join(f"{text}\n" for text in texts).encode()


def make_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Packs files as trackers do."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def entries_of(
    pieces: Iterable[Scalars | None],
) -> Iterator[tuple[str, float, float, float]]:
    """Yields name, step, time and value of each entry in the pieces of a log."""
    for piece in pieces:
        if piece is not None:
            names = [piece.names[place] for place in piece.places]
            yield from zip(
                *(names, piece.steps.tolist(), piece.times.tolist(), piece.values.tolist())
            )
