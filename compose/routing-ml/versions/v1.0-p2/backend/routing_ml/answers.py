"""The shape of a prediction in this release."""

from __future__ import annotations

from typing import Any

from routing_model.artefacts import StoredModel
from routing_model.similarity import Ranking

CANDIDATES = 5
SHOWS_LATENCY = True


def answer(item_code: str | None, ranking: Ranking, stored: StoredModel) -> dict[str, Any]:
    route, confidence = ranking.candidates[0]
    return {
        "item_code": item_code,
        "prediction": route,
        "confidence": round(confidence, 6),
        "interval": {"low": round(ranking.interval[0], 6), "high": round(ranking.interval[1], 6)},
        "candidates": [
            {"route": name, "confidence": round(share, 6)} for name, share in ranking.candidates[:CANDIDATES]
        ],
        "operations": stored.routes.get(route, []),
    }
