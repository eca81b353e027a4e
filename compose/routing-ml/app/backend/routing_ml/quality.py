"""How good the data are, from PostgreSQL (S1-30)."""

from __future__ import annotations

from typing import Any

from . import statements
from .database import Database
from .release import RELEASE


def data_quality(database: Database) -> dict[str, Any]:
    items = database.query(statements.DATA_QUALITY)[0]
    total = int(items["items"])
    flawed = int(items["missing_categories"]) + int(items["missing_numbers"]) + int(items["impossible_numbers"])
    return {
        "items": items,
        "score": round(max(0.0, 1 - flawed / total), 4) if total else 0.0,
        "predictions_24h": database.query(statements.PREDICTION_STATISTICS)[0],
        "schema": database.schema(),
        "release": RELEASE,
    }
