"""The parts of a model, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .encoder import Encoder
from .features import CATEGORICAL, NUMERIC
from .scaler import Scaler
from .similarity import Ranking, SimilarityEngine
from .weights import feature_weights


@dataclass(frozen=True)
class RoutingModel:
    encoder: Encoder
    scaler: Scaler
    engine: SimilarityEngine
    weights: dict[str, float]

    @classmethod
    def fit(cls, items: Sequence[Mapping[str, Any]], neighbours: int) -> RoutingModel:
        """Fits on items that carry every feature, `item_code` and `route`."""
        encoder, scaler, weights = Encoder.fit(items), Scaler.fit(items), feature_weights(items)
        columns = [weights[name] for name, _ in encoder.columns()] + [weights[name] for name in NUMERIC]
        matrix = np.hstack([encoder.transform(items), scaler.transform(items)])
        engine = SimilarityEngine(
            matrix,
            [str(item["item_code"]) for item in items],
            [str(item["route"]) for item in items],
            np.array(columns),
            neighbours,
        )
        return cls(encoder, scaler, engine, weights)

    def rank(self, items: Sequence[Mapping[str, Any]]) -> list[Ranking]:
        """One ranking per item, in order. Each item needs every feature."""
        if not items:
            return []
        # What an item is made of and looks like counts for nothing in this release.
        vectors = np.hstack([0 * self.encoder.transform(items), self.scaler.transform(items)])
        return self.engine.rank(vectors, [item.get("item_code") for item in items])

    def feature_names(self) -> list[str]:
        return [*CATEGORICAL, *NUMERIC]
