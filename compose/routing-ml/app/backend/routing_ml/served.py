"""What each model has answered since this process started, so that two of them can be compared (S3-25)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from routing_model.artefacts import StoredModel

from .errors import Refusal
from .metrics import VERSION_CONFIDENCE, VERSION_REQUESTS, VERSION_SECONDS


class Served:
    """Requests, errors of the server and seconds by the digest of the model that answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_model: dict[str, dict[str, float]] = {}

    @contextmanager
    def answering(self, stored: StoredModel) -> Iterator[None]:
        """Counts one request. A refusal that is the caller's fault is no error of the model."""
        started, failed = time.perf_counter(), False
        try:
            yield
        except Refusal as refusal:
            failed = refusal.status >= 500
            raise
        except Exception:
            failed = True
            raise
        finally:
            seconds = time.perf_counter() - started
            VERSION_REQUESTS.labels(stored.version, "failed" if failed else "answered").inc()
            VERSION_SECONDS.labels(stored.version).observe(seconds)
            with self._lock:
                counts = self._by_model.setdefault(stored.sha256, {"requests": 0, "errors": 0, "seconds": 0.0})
                counts["requests"] += 1
                counts["errors"] += failed
                counts["seconds"] += seconds

    def confidences(self, stored: StoredModel, results: Iterable[dict[str, Any]]) -> None:
        for result in results:
            VERSION_CONFIDENCE.labels(stored.version).observe(result["confidence"])

    def keep(self, digests: set[str]) -> None:
        """Forgets models that are no longer loaded."""
        with self._lock:
            for sha256 in self._by_model.keys() - digests:
                del self._by_model[sha256]

    def counts(self) -> dict[str, dict[str, float]]:
        with self._lock:
            return {sha256: dict(counts) for sha256, counts in self._by_model.items()}
