"""The accuracy that the metrics show."""

from __future__ import annotations

from routing_model import catalogue
from routing_model.artefacts import StoredModel


def accuracy_of(stored: StoredModel) -> float:
    """Share of the catalogue whose route is predicted right; no item is asked about itself."""
    items = catalogue.items()
    rankings = stored.model.rank(items)
    right = [ranking.candidates[0][0] == item["route"] for ranking, item in zip(rankings, items, strict=True)]
    return sum(right) / len(right)
