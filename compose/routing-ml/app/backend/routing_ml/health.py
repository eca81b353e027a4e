"""Is this process fit to answer?"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from .cache import Cache
from .database import Database
from .models import Models
from .release import RELEASE, SCHEMA_VERSION

STARTED = time.monotonic()


def health(database: Database, cache: Cache, models: Models) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of /health (S1-28).

    503 while no model is loaded, while the schema cannot be worked with, and before the database has answered once. A
    database that is lost later makes the answer `degraded` with 200: restarting this process would not bring it back.
    """
    stored = models.current
    state, detail = database.state()
    if stored is None:
        code, status = 503, "error"
    elif state == "schema_mismatch":
        code, status = 503, "error"
    elif state != "ok":
        code, status = (200, "degraded") if database.reached_once else (503, "starting")
    else:
        code, status = 200, "ok"
    return code, {
        "status": status,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "release": RELEASE,
        "model_loaded": stored is not None,
        "model": {"version": stored.version, "sha256": stored.sha256} if stored else None,
        "database": state,
        "cache": cache.state(),
        "schema": SCHEMA_VERSION,
        "problem": models.problem or detail or None,
        "uptime_seconds": round(time.monotonic() - STARTED, 1),
    }
