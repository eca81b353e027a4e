"""The accuracy that the metrics show."""

from __future__ import annotations

from routing_model.artefacts import StoredModel


def accuracy_of(stored: StoredModel) -> float:
    """Share of items whose route is predicted right, as training has measured it."""
    return float(stored.metrics.get("accuracy", 0))
