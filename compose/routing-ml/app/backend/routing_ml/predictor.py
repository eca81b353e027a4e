"""From item codes to recorded predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from routing_model import features
from routing_model.artefacts import StoredModel

from . import statements
from .answers import SHOWS_LATENCY, answer
from .cache import Cache
from .database import Database
from .errors import Refusal
from .metrics import CONFIDENCE, PREDICTIONS, RECORD_FAILURES, WINDOW
from .release import RELEASE
from .served import Served

log = logging.getLogger(__name__)


class Predictor:
    def __init__(self, database: Database, cache: Cache, served: Served) -> None:
        self._database = database
        self._cache = cache
        self._served = served

    def by_code(
        self, stored: StoredModel, codes: Sequence[str], user: str
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Predictions in the order of the codes, and the codes that are not in the catalogue."""
        with self._served.answering(stored):
            return self._by_code(stored, codes, user)

    def by_features(self, stored: StoredModel, item: dict[str, Any], user: str) -> dict[str, Any]:
        """Prediction for a part that is not in the catalogue."""
        with self._served.answering(stored):
            started = time.perf_counter()
            result = self._labelled({**self._rank(stored, [item])[0], "cached": False}, stored)
            self._record([result], stored, user, (time.perf_counter() - started) * 1000)
            return result

    def _by_code(
        self, stored: StoredModel, codes: Sequence[str], user: str
    ) -> tuple[list[dict[str, Any]], list[str]]:
        started = time.perf_counter()
        wanted = list(dict.fromkeys(codes))
        keys = {code: f"prediction:{RELEASE}:{stored.sha256[:16]}:{code}" for code in wanted}
        found = {
            code: {**value, "cached": True}
            for code, value in zip(wanted, self._cache.get([keys[code] for code in wanted]), strict=True)
            if value is not None
        }
        missing = [code for code in wanted if code not in found]
        if missing:
            items = self._database.items(missing)
            fresh = self._rank(stored, [items[code] for code in missing if code in items])
            self._cache.put({keys[str(value["item_code"])]: value for value in fresh})
            found.update({str(value["item_code"]): {**value, "cached": False} for value in fresh})
        results = [self._labelled(found[code], stored) for code in codes if code in found]
        self._record(results, stored, user, (time.perf_counter() - started) * 1000)
        return results, [code for code in wanted if code not in found]

    def _rank(self, stored: StoredModel, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for item in items:
            if absent := features.missing(item):
                raise Refusal(422, "incomplete_item", f"{item.get('item_code')} lacks {', '.join(absent)}")
        if not items:
            return []
        rankings = stored.model.rank(items)
        scaled = stored.model.scaler.transform(items)
        WINDOW.add([ranking.candidates[0][1] for ranking in rankings], np.asarray(scaled))
        return [
            answer(item.get("item_code"), ranking, stored) for item, ranking in zip(items, rankings, strict=True)
        ]

    def _labelled(self, value: dict[str, Any], stored: StoredModel) -> dict[str, Any]:
        return {**value, "model": {"version": stored.version, "sha256": stored.sha256}, "release": RELEASE}

    def _record(self, results: list[dict[str, Any]], stored: StoredModel, user: str, milliseconds: float) -> None:
        """Writes predictions down. A database that refuses costs the record, not the answer."""
        if not results:
            return
        latency = round(milliseconds / len(results), 3)
        self._served.confidences(stored, results)
        for result in results:
            PREDICTIONS.labels(result["prediction"]).inc()
            CONFIDENCE.observe(result["confidence"])
            if SHOWS_LATENCY:
                result["latency_ms"] = latency
        try:
            self._database.query(
                statements.RECORD_PREDICTIONS,
                {
                    "codes": [result["item_code"] or "(features)" for result in results],
                    "routes": [result["prediction"] for result in results],
                    "confidences": [result["confidence"] for result in results],
                    "latencies": [latency] * len(results),
                    "release": RELEASE,
                    "sha256": stored.sha256,
                    "user": user,
                },
            )
            recorded = True
        except Refusal as refusal:
            if refusal.code == "schema_mismatch":
                raise
            RECORD_FAILURES.inc(len(results))
            log.warning("predictions were answered but not recorded: %s", refusal.code)
            recorded = False
        for result in results:
            result["recorded"] = recorded
