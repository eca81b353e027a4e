"""How much each feature tells about the route."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .features import ALL, NUMERIC


def feature_weights(items: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mutual information of each feature with the route, in bits, scaled to a mean of 1.

    Numeric features are cut at their quartiles first. A small floor keeps a feature that says nothing about the items
    seen so far from vanishing altogether.
    """
    routes = [str(item["route"]) for item in items]
    raw = {name: _mutual_information(_categories(items, name), routes) + 0.02 for name in ALL}
    mean = sum(raw.values()) / len(raw)
    return {name: round(value / mean, 4) for name, value in raw.items()}


def _categories(items: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    if name not in NUMERIC:
        return [str(item[name]) for item in items]
    values = np.array([float(item[name]) for item in items])
    edges = np.unique(np.quantile(values, [0.25, 0.5, 0.75]))
    return [str(int(bucket)) for bucket in np.searchsorted(edges, values)]


def _mutual_information(left: Sequence[str], right: Sequence[str]) -> float:
    total = len(left)
    left_counts, right_counts, joint = Counter(left), Counter(right), Counter(zip(left, right, strict=True))
    return sum(
        count / total * math.log2(count * total / (left_counts[a] * right_counts[b]))
        for (a, b), count in joint.items()
    )
