#!/usr/bin/env bash
# Tool: SQLite 3.40.1 (Python 3.11), 2026-11-30.
#
# Guess: a process that opens a database with "mode=ro" leaves no trace. So it cannot disturb
# the process that writes.
#
# What happens: if the database has a write-ahead log (as those of Trackio and Neptune) and
# no process has it open, SQLite makes the files -wal and -shm beside it for a read-only
# connection, and leaves them there. They belong to the user who reads. If another user
# trains, the training cannot write them. With "immutable=1" SQLite makes no such files.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

read_database() {
  python3 - "$1" "$2" <<'PYTHON'
import sqlite3
import sys

database = sqlite3.connect(f"file:{sys.argv[1]}?{sys.argv[2]}", uri=True)
print(database.execute("SELECT a FROM t").fetchall())
database.close()
PYTHON
}

python3 - "$folder/x.db" <<'PYTHON'
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA journal_mode = WAL")
database.execute("CREATE TABLE t AS SELECT 1 AS a")
database.commit()
database.close()
PYTHON
python3 -c "import sqlite3; print('SQLite', sqlite3.sqlite_version)"
echo "--- immutable=1"
read_database "$folder/x.db" immutable=1
before=$(cd "$folder" && echo *)
echo "$before"
echo "--- mode=ro"
read_database "$folder/x.db" mode=ro
after=$(cd "$folder" && echo *)
echo "$after"

if [ "$before" != "x.db" ] || [ "$after" != "x.db x.db-shm x.db-wal" ]; then
  echo "CHANGED: other files are left" >&2
  exit 1
fi
echo "as found: a reader leaves two files"
