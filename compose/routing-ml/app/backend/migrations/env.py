"""Brings the database to this release's schema, or says why it must not be touched.

Two things differ from Alembic's usual environment. Only one migration runs at a time, however many containers start at
once. And a database that a *newer* release has migrated is no error as long as this release can still read it: each
migration writes down the oldest schema whose releases can work with it.
"""

from __future__ import annotations

import os
import sys

from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.engine import make_url

LOCK = 7205151
"""Key of the advisory lock; any number that nothing else in this database uses."""


def fail(message: str) -> None:
    print(f"migrate: {message}", file=sys.stderr)
    raise SystemExit(1)


def newer_schema(connection: Connection, built_for: int) -> bool:
    """True when the database has been migrated past this release and can still be read by it."""
    if connection.execute(text("SELECT to_regclass('schema_info')")).scalar() is None:
        return False
    version, readable_from = connection.execute(text("SELECT version, readable_from FROM schema_info")).one()
    if version <= built_for:
        return False
    if built_for < readable_from:
        fail(
            f"the database is at schema {version}, which releases built for schema {readable_from} or newer can read; "
            f"this release was built for schema {built_for}. Nothing was changed. Deploy a newer release or restore a "
            "backup from before the migration."
        )
    print(f"migrate: the database is at schema {version}, readable from {readable_from}; this release was built for "
          f"{built_for}: nothing to do")
    return True


def main() -> None:
    address = os.environ.get("DATABASE_URL", "")
    if not address:
        fail("DATABASE_URL is not set")
    url = make_url(address).set(drivername="postgresql+psycopg")
    head = ScriptDirectory.from_config(context.config).get_current_head()
    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"connect_timeout": 10})
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        if newer_schema(connection, int(head or 0)):
            return
        context.configure(connection=connection)
        context.run_migrations()
        version, readable_from = connection.execute(text("SELECT version, readable_from FROM schema_info")).one()
        print(f"migrate: the database is at schema {version}, readable from {readable_from}")


main()
