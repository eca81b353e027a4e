"""The features of an item and their order in the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CATEGORICAL: tuple[str, ...] = ("material", "shape", "surface")
NUMERIC: tuple[str, ...] = ("length_mm", "width_mm", "weight_kg", "tolerance_um", "batch_size")
ALL: tuple[str, ...] = CATEGORICAL + NUMERIC


def missing(item: Mapping[str, Any]) -> list[str]:
    """Names of the features that the item does not have."""
    return [name for name in ALL if item.get(name) is None]
