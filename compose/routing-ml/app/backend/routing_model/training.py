"""Training and honest measurement of a model."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from . import features
from .model import RoutingModel
from .similarity import Ranking

MINIMUM_ITEMS = 40
"""Below this a quarter of the items says nothing about a route."""

FOLDS = 4


class NotEnoughData(Exception):
    """The items are too few, or of too few routes, to train and to measure."""


def usable(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Items with a route and every feature, in the order of their code, so that training is reproducible."""
    complete = [item for item in items if item.get("route") and not features.missing(item)]
    return sorted(complete, key=lambda item: str(item["item_code"]))


def train(items: Sequence[Mapping[str, Any]], neighbours: int) -> tuple[RoutingModel, dict[str, Any]]:
    """The model fitted on all usable items, and its metrics by cross-validation.

    Every item is judged once, by a model that was fitted on the other three quarters. The quarter of an item follows
    from its code, so the figures are the same on every machine, speed apart.
    """
    rows = usable(items)
    if len(rows) < MINIMUM_ITEMS or len({item["route"] for item in rows}) < 2:
        raise NotEnoughData(f"{len(rows)} usable items; training needs {MINIMUM_ITEMS} of at least two routes")
    judged: list[Mapping[str, Any]] = []
    rankings: list[Ranking] = []
    for quarter in range(FOLDS):
        held_out = [item for item in rows if _fold(item) == quarter]
        rankings += RoutingModel.fit([item for item in rows if _fold(item) != quarter], neighbours).rank(held_out)
        judged += held_out
    model = RoutingModel.fit(rows, neighbours)
    return model, {**quality(judged, rankings), **cost(model, rows)}


def _fold(item: Mapping[str, Any]) -> int:
    return crc32(str(item["item_code"]).encode()) % FOLDS


def quality(items: Sequence[Mapping[str, Any]], rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Accuracy (S4-16), area under the curve (S3-3) and bias (S4-20) of rankings of items with known routes."""
    truth = [str(item["route"]) for item in items]
    correct = [ranking.candidates[0][0] == route for ranking, route in zip(rankings, truth, strict=True)]
    confidences = np.array([ranking.candidates[0][1] for ranking in rankings])
    return {
        "accuracy": round(float(np.mean(correct)), 4),
        "roc_auc": round(_macro_auc(rankings, truth), 4),
        "bias": round(_accuracy_gap(items, correct), 4),
        "samples": len(items),
        "folds": FOLDS,
        "confidence": {"mean": round(float(confidences.mean()), 4), "deviation": round(float(confidences.std()), 4)},
    }


def cost(model: RoutingModel, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Latency (S4-17), throughput (S4-18) and memory (S4-19) of a model on this machine."""
    single = []
    for item in items[:100]:
        started = time.perf_counter()
        model.rank([item])
        single.append((time.perf_counter() - started) * 1000)
    started = time.perf_counter()
    model.rank(items)
    batch_seconds = max(time.perf_counter() - started, 1e-9)
    return {
        "latency_ms": {"p50": round(float(np.median(single)), 3), "p99": round(float(np.quantile(single, 0.99)), 3)},
        "throughput_per_second": round(len(items) / batch_seconds, 1),
        "memory_bytes": len(pickle.dumps(model)),
    }


def _macro_auc(rankings: Sequence[Ranking], truth: Sequence[str]) -> float:
    """Mean over the routes of the probability that an item of the route scores above one of another route."""
    areas = []
    for route in sorted(set(truth)):
        scores = np.array([dict(ranking.candidates).get(route, 0.0) for ranking in rankings])
        of_route = np.array([value == route for value in truth])
        if of_route.all():
            continue
        difference = scores[of_route][:, None] - scores[~of_route][None, :]
        areas.append(float((difference > 0).mean() + 0.5 * (difference == 0).mean()))
    return float(np.mean(areas))


def _accuracy_gap(items: Sequence[Mapping[str, Any]], correct: Sequence[bool]) -> float:
    """Overall accuracy minus that of the worst material with at least ten items: nobody's parts are served badly."""
    counts = Counter(str(item["material"]) for item in items)
    by_material = [
        float(np.mean([ok for item, ok in zip(items, correct, strict=True) if item["material"] == material]))
        for material, count in counts.items()
        if count >= 10
    ]
    return max(0.0, float(np.mean(correct)) - min(by_material)) if by_material else 0.0
