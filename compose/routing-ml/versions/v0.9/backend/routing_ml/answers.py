"""The shape of a prediction in this release."""

from __future__ import annotations

from typing import Any

from routing_model.artefacts import StoredModel
from routing_model.similarity import Ranking

CANDIDATES = 3
SHOWS_LATENCY = False


def answer(item_code: str | None, ranking: Ranking, stored: StoredModel) -> dict[str, Any]:
    route, confidence = ranking.candidates[0]
    return {
        "item_code": item_code,
        "prediction": route,
        "confidence": round(confidence, 3),
        "candidates": [
            {"route": name, "confidence": round(share, 3)} for name, share in ranking.candidates[:CANDIDATES]
        ],
    }
