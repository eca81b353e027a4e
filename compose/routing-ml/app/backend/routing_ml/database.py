"""PostgreSQL: a pool, one retry over a connection that died, and errors that say what is wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from . import statements
from .errors import Refusal, unavailable
from .metrics import DATABASE_ERRORS, DATABASE_UP
from .release import RELEASE

log = logging.getLogger(__name__)
REST_SECONDS = 1.0
"""After a time-out, requests are refused at once for so long instead of queueing behind a dead server."""


class Database:
    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=8,
            timeout=2.0,
            max_idle=300.0,
            # The pool waits longer and longer between its attempts; giving up soon lets the next request start afresh.
            reconnect_timeout=4.0,
            open=False,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": 3,
                "application_name": f"routing-ml {RELEASE}",
                # Two releases may share the database while one migrates it: no plan outlives its statement.
                "prepare_threshold": None,
                "options": "-c statement_timeout=15s",
            },
        )
        self._probe_lock = threading.Lock()
        self._probed_at = float("-inf")
        self._rests_until = float("-inf")
        self._state = "unreachable"
        self._detail = "not asked yet"
        self.reached_once = False

    def open(self) -> None:
        """Starts connecting in the background; a database that is not there yet is no error."""
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close(timeout=3.0)

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a statement, none for one that returns none. Raises Refusal 503."""
        if time.monotonic() < self._rests_until:
            raise unavailable("database_unavailable", "the database does not answer")
        try:
            try:
                return self._run(sql, parameters)
            except psycopg.OperationalError:
                # A connection that was idle while the server restarted: its fellows are as dead, replace them all. A
                # write that had reached the server is repeated only if its connection broke before the answer: at worst
                # one prediction is written down twice.
                self._pool.check()
                return self._run(sql, parameters)
        except (PoolTimeout, psycopg.OperationalError) as error:
            self._note("unreachable", str(error))
            self._rests_until = time.monotonic() + REST_SECONDS
            DATABASE_ERRORS.labels("unreachable").inc()
            raise unavailable("database_unavailable", "the database does not answer") from error
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
            first = str(error).splitlines()[0]
            self._note("schema_mismatch", first)
            DATABASE_ERRORS.labels("schema_mismatch").inc()
            log.error("the database has a schema that this release cannot work with: %s", first)
            raise unavailable("schema_mismatch", f"this release cannot work with the database's schema: {first}") from error
        except psycopg.Error as error:
            DATABASE_ERRORS.labels("statement").inc()
            log.exception("a statement failed")
            raise unavailable("database_error", "the database refused the statement") from error

    def _run(self, sql: str, parameters: dict[str, Any] | None) -> list[dict[str, Any]]:
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows = cursor.fetchall() if cursor.description else []
        if self._state != "ok" and sql != statements.SCHEMA_PROBE:
            self._probed_at = float("-inf")
        return rows

    def state(self) -> tuple[str, str]:
        """`ok`, `unreachable` or `schema_mismatch`, and why. Asked of the server at most every two seconds."""
        with self._probe_lock:
            if time.monotonic() - self._probed_at > 2.0:
                try:
                    self.query(statements.SCHEMA_PROBE)
                    self._note("ok", "")
                except Refusal as refusal:
                    if refusal.code == "database_error":
                        self._note("unreachable", refusal.message)
                self._probed_at = time.monotonic()
            return self._state, self._detail

    def _note(self, state: str, detail: str) -> None:
        self._state, self._detail = state, detail
        self.reached_once = self.reached_once or state == "ok"
        DATABASE_UP.set(1 if state == "ok" else 0)

    def schema(self) -> int | None:
        """The schema version that the database is at."""
        rows = self.query("SELECT version FROM schema_info")
        return int(rows[0]["version"]) if rows else None

    def items(self, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        rows = self.query(statements.ITEMS_BY_CODE, {"codes": list(codes)})
        return {row["item_code"]: row for row in rows}

    def all_items(self) -> list[dict[str, Any]]:
        return self.query(statements.ALL_ITEMS)

    def record_training(self, run: dict[str, Any]) -> None:
        self.query(
            """INSERT INTO ml_training_logs
                 (run_id, requested_by, release, state, detail, metrics, started_at, finished_at)
               VALUES (%(run_id)s, %(requested_by)s, %(release)s, %(state)s, %(detail)s, %(metrics)s, %(started_at)s,
                 %(finished_at)s)
               ON CONFLICT (run_id) DO UPDATE SET state = excluded.state, detail = excluded.detail,
                 metrics = excluded.metrics, finished_at = excluded.finished_at""",
            {**run, "metrics": Jsonb(run.get("metrics"))},
        )
