"""The loaded model, and the watcher that notices another one."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from routing_model import artefacts
from routing_model.artefacts import ModelError, StoredModel

from .errors import unavailable
from .metrics import MODEL_ACCURACY, MODEL_AUC, MODEL_INFO, MODEL_LOADED, MODEL_LOADS
from .requirements import REQUIRED_FILES

log = logging.getLogger(__name__)
WATCH_SECONDS = 1.0


class Models:
    """Holds one verified model. A directory that cannot be loaded never replaces one that was."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._current: StoredModel | None = None
        self.loaded_at: str | None = None
        self.problem: str | None = "not loaded yet"

    def directory(self) -> Path:
        """Where the model is: `current` inside the directory where a registry keeps one, else the directory itself.

        A `current` that leads nowhere is an error, not a reason to take up the model from before the registry.
        """
        current = self._directory / "current"
        return current if current.is_symlink() or current.is_dir() else self._directory

    @property
    def current(self) -> StoredModel | None:
        return self._current

    def require(self) -> StoredModel:
        if self._current is None:
            raise unavailable("model_not_loaded", f"no model is loaded: {self.problem}")
        return self._current

    def reload(self) -> StoredModel:
        """Loads what the directory holds now. Raises ModelError and keeps the former model."""
        with self._lock:
            try:
                stored = artefacts.load(self.directory(), REQUIRED_FILES)
            except ModelError as error:
                MODEL_LOADS.labels("failed").inc()
                if self.problem != str(error):
                    log.error("the model cannot be loaded: %s", error)
                self.problem = str(error)
                raise
            self._current, self.problem = stored, None
            self.loaded_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            MODEL_LOADS.labels("succeeded").inc()
            MODEL_LOADED.set(1)
            MODEL_INFO.clear()
            MODEL_INFO.labels(stored.version, stored.sha256).set(1)
            MODEL_ACCURACY.set(float(stored.metrics.get("accuracy", 0)))
            MODEL_AUC.set(float(stored.metrics.get("roc_auc", 0)))
            log.info("model loaded", extra={"fields": {"version": stored.version, "sha256": stored.sha256}})
            return stored

    def start(self) -> None:
        try:
            self.reload()
        except ModelError:
            MODEL_LOADED.set(0)
        threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        """Loads another manifest once it has been seen twice the same (S1-77).

        The manifest is small: hashing it notices what times and sizes do not. A failed attempt is repeated, more and
        more slowly, because the files may still be arriving.
        """
        seen, failures, wait_until = None, 0, 0.0
        while not self._stop.wait(WATCH_SECONDS):
            try:
                digest = artefacts.manifest_digest(self.directory())
            except ModelError:
                seen = None
                continue
            loaded = self._current.sha256 if self._current else None
            stable, changed, seen = digest == seen, digest != seen, digest
            if changed:
                failures, wait_until = 0, 0.0
            if digest == loaded or not stable or time.monotonic() < wait_until:
                continue
            try:
                self.reload()
            except ModelError:
                failures += 1
                wait_until = time.monotonic() + min(2.0**failures, 60.0)
            except Exception:
                log.exception("watching the model failed")
