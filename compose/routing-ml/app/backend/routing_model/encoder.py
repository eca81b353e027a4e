"""Categories as columns of zeros and ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .features import CATEGORICAL


class Encoder:
    """One-hot encoder that remembers the categories it was fitted on; an unknown category encodes as all zeros."""

    def __init__(self, categories: dict[str, list[str]]) -> None:
        self.categories = categories

    @classmethod
    def fit(cls, items: Sequence[Mapping[str, Any]]) -> Encoder:
        return cls({name: sorted({str(item[name]) for item in items}) for name in CATEGORICAL})

    def columns(self) -> list[tuple[str, str]]:
        """(feature, category) of each column."""
        return [(name, value) for name in CATEGORICAL for value in self.categories[name]]

    def transform(self, items: Sequence[Mapping[str, Any]]) -> np.ndarray:
        columns = self.columns()
        position = {column: index for index, column in enumerate(columns)}
        encoded = np.zeros((len(items), len(columns)), dtype=np.float32)
        for row, item in enumerate(items):
            for name in CATEGORICAL:
                index = position.get((name, str(item[name])))
                if index is not None:
                    encoded[row, index] = 1.0
        return encoded
