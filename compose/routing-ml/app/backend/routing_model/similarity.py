"""Routes of an item from the routes of the items most like it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """What the engine says about one item. Every confidence lies within 0..1 and inside its interval (S2-1)."""

    candidates: list[tuple[str, float]]  # best first; the confidences of all routes add up to 1
    interval: tuple[float, float]  # 95 % Wilson interval of the first candidate's confidence
    neighbours: list[tuple[str, float]]  # codes of the most similar items with their similarity


class SimilarityEngine:
    """k nearest neighbours in the weighted feature space, each voting for its route by its similarity."""

    def __init__(
        self, matrix: np.ndarray, codes: list[str], routes: list[str], weights: np.ndarray, neighbours: int
    ) -> None:
        self.scale = np.sqrt(weights).astype(np.float32)
        self.matrix = (matrix * self.scale).astype(np.float32)
        self.codes = codes
        self.positions = {code: position for position, code in enumerate(codes)}
        self.routes = sorted(set(routes))
        index = {route: position for position, route in enumerate(self.routes)}
        self.labels = np.array([index[route] for route in routes], dtype=np.int16)
        self.neighbours = min(neighbours, len(codes) - 1)
        self.bandwidth = self._typical_distance()

    def _typical_distance(self) -> float:
        """Median distance to the nearest other item: the distance at which two items count as alike."""
        squared = self._squared_distances(self.matrix)
        np.fill_diagonal(squared, np.inf)
        return max(float(np.median(np.sqrt(squared.min(axis=1)))), 1e-3)

    def _squared_distances(self, vectors: np.ndarray) -> np.ndarray:
        products = vectors @ self.matrix.T
        squared = (vectors**2).sum(axis=1)[:, None] + (self.matrix**2).sum(axis=1)[None, :] - 2.0 * products
        return np.maximum(squared, 0.0)

    def rank(self, vectors: np.ndarray, codes: Sequence[str | None]) -> list[Ranking]:
        """One ranking per row of encoded and scaled features. An item is not asked about itself: its code is left out."""
        squared = self._squared_distances((vectors * self.scale).astype(np.float32))
        for row, code in enumerate(codes):
            if code in self.positions:
                squared[row, self.positions[code]] = np.inf
        nearest = np.argpartition(squared, self.neighbours - 1, axis=1)[:, : self.neighbours]
        return [self._rank_one(squared[row], nearest[row]) for row in range(len(vectors))]

    def _rank_one(self, squared: np.ndarray, nearest: np.ndarray) -> Ranking:
        ordered = nearest[np.argsort(squared[nearest], kind="stable")]
        # Shifted by the smallest distance, so that an item far from all others still gets finite votes.
        exponents = (squared[ordered] - squared[ordered[0]]) / (2.0 * self.bandwidth**2)
        votes = np.exp(-np.minimum(exponents, 50.0)).astype(np.float64)
        shares = np.bincount(self.labels[ordered], weights=votes, minlength=len(self.routes)) / votes.sum()
        order = np.argsort(-shares, kind="stable")
        candidates = [(self.routes[index], float(min(shares[index], 1.0))) for index in order if shares[index] > 0]
        effective = float(votes.sum() ** 2 / (votes**2).sum())
        similarity = np.exp(-squared[ordered] / (2.0 * self.bandwidth**2))
        return Ranking(
            candidates=candidates,
            interval=_wilson(candidates[0][1], effective),
            neighbours=[(self.codes[i], float(s)) for i, s in zip(ordered, similarity, strict=True)],
        )


def _wilson(share: float, samples: float) -> tuple[float, float]:
    """95 % Wilson score interval of a share seen in a number of (effective) samples."""
    z = 1.959964
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples)) / (1 + z * z / samples)
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
