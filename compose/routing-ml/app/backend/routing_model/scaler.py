"""Numbers on a common scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .features import NUMERIC


class Scaler:
    """Standardises log(1 + x): sizes, weights and batches of parts spread over orders of magnitude."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        self.mean = mean
        self.deviation = deviation

    @staticmethod
    def _logarithms(items: Sequence[Mapping[str, Any]]) -> np.ndarray:
        values = np.array([[float(item[name]) for name in NUMERIC] for item in items], dtype=np.float64)
        return np.log1p(np.maximum(values.reshape(len(items), len(NUMERIC)), 0.0))

    @classmethod
    def fit(cls, items: Sequence[Mapping[str, Any]]) -> Scaler:
        logarithms = cls._logarithms(items)
        deviation = logarithms.std(axis=0)
        return cls(logarithms.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def transform(self, items: Sequence[Mapping[str, Any]]) -> np.ndarray:
        return ((self._logarithms(items) - self.mean) / self.deviation).astype(np.float32)
