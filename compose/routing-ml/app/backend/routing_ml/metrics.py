"""What Prometheus sees."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

from .release import RELEASE

# An edge at every threshold that a policy uses; between two edges a quantile is a guess.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("http_requests_total", "Requests answered.", ["method", "path", "code"])
REQUEST_SECONDS = Histogram("http_request_duration_seconds", "Time to answer.", ["method", "path"], buckets=SECONDS)
IN_FLIGHT = Gauge("http_requests_in_progress", "Requests being answered.")
INFO = Gauge("routing_ml_release_info", "The release that runs; always 1.", ["release"])
INFO.labels(RELEASE).set(1)

AUTH_FAILURES = Counter("routing_ml_auth_failures_total", "Logins and tokens refused.", ["reason"])
PREDICTIONS = Counter("routing_ml_predictions_total", "Predictions answered.", ["route"])
CONFIDENCE = Histogram(
    "routing_ml_prediction_confidence", "Confidence of predictions.", buckets=[tenth / 10 for tenth in range(1, 11)]
)
CONFIDENCE_DEVIATION = Gauge("routing_ml_prediction_confidence_stddev", "Of the last 1,000 predictions.")
DRIFT = Gauge("routing_ml_feature_drift", "Mean of a feature in the last 1,000 predictions, in standard deviations "
              "of the training data.", ["feature"])
VERSION_REQUESTS = Counter("routing_ml_version_requests_total", "Predictions asked for, by the version that answered.",
                           ["version", "result"])
VERSION_SECONDS = Histogram("routing_ml_version_seconds", "Time to predict, by the version that answered.", ["version"],
                            buckets=SECONDS)
VERSION_CONFIDENCE = Histogram("routing_ml_version_confidence", "Confidence by the version that answered.", ["version"],
                               buckets=[tenth / 10 for tenth in range(1, 11)])
RECORD_FAILURES = Counter("routing_ml_prediction_record_failures_total", "Predictions answered but not recorded.")
CACHE = Counter("routing_ml_cache_requests_total", "Look-ups in the prediction cache.", ["result"])
for _result in ("hit", "miss", "unavailable"):
    CACHE.labels(_result)

DATABASE_UP = Gauge("routing_ml_database_up", "1 while the database answers and has a schema this release can read.")
DATABASE_ERRORS = Counter("routing_ml_database_errors_total", "Failed statements.", ["reason"])
for _reason in ("unreachable", "schema_mismatch", "statement"):
    DATABASE_ERRORS.labels(_reason)

MODEL_LOADED = Gauge("routing_ml_model_loaded", "1 while a verified model is loaded.")
MODEL_INFO = Gauge("routing_ml_model_info", "The loaded model; always 1.", ["version", "sha256"])
MODEL_ACCURACY = Gauge("routing_ml_model_accuracy", "Accuracy in the metrics.json of the loaded model.")
MODEL_AUC = Gauge("routing_ml_model_roc_auc", "Area under the curve in the metrics.json of the loaded model.")
MODEL_LOADS = Counter("routing_ml_model_loads_total", "Attempts to load a model.", ["result"])
TRAINING_RUNS = Counter("routing_ml_training_runs_total", "Training runs that have ended.", ["result"])
for _result in ("succeeded", "failed"):
    TRAINING_RUNS.labels(_result)
    MODEL_LOADS.labels(_result)
TRAINING_SECONDS = Histogram("routing_ml_training_duration_seconds", "Time of a training run.", buckets=SECONDS)
TRAINING_LAST = Gauge("routing_ml_training_last_success_timestamp_seconds", "When training last succeeded.")


class Window:
    """The last thousand predictions: how far their confidences spread (S2-23), how far their features drifted (S3-12)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._confidences: deque[float] = deque(maxlen=1000)
        self._features: deque[np.ndarray] = deque(maxlen=1000)

    def add(self, confidences: list[float], scaled: np.ndarray) -> None:
        with self._lock:
            self._confidences.extend(confidences)
            self._features.extend(scaled)

    def publish(self, names: tuple[str, ...]) -> None:
        """Computed when somebody scrapes, not at each prediction."""
        with self._lock:
            confidences, features = list(self._confidences), list(self._features)
        if confidences:
            CONFIDENCE_DEVIATION.set(float(np.std(confidences)))
        if features:
            for name, mean in zip(names, np.mean(features, axis=0), strict=True):
                DRIFT.labels(name).set(float(mean))


WINDOW = Window()
