"""The loaded model, and the watcher that notices another one."""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from routing_model import artefacts
from routing_model.artefacts import ModelError, StoredModel

from . import split
from .accuracy import accuracy_of
from .errors import unavailable
from .metrics import MODEL_ACCURACY, MODEL_AUC, MODEL_INFO, MODEL_LOADED, MODEL_LOADS
from .requirements import REQUIRED_FILES
from .served import Served
from .split import Candidate

log = logging.getLogger(__name__)
WATCH_SECONDS = 1.0


class Models:
    """Holds one verified model, and a second one for a share of the requests. What cannot be loaded never replaces
    what was."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._current: StoredModel | None = None
        self._candidate: Candidate | None = None
        self._split: str | None = None  # digest of the candidate.json that was acted on
        self.served = Served()
        self.loaded_at: str | None = None
        self.problem: str | None = "not loaded yet"
        self.candidate_problem: str | None = None

    def directory(self) -> Path:
        """Where the model is: `current` inside the directory where a registry keeps one, else the directory itself.

        A `current` that leads nowhere is an error, not a reason to take up the model from before the registry.
        """
        current = self._directory / "current"
        return current if current.is_symlink() or current.is_dir() else self._directory

    @property
    def current(self) -> StoredModel | None:
        return self._current

    @property
    def candidate(self) -> Candidate | None:
        return self._candidate

    def choose(self, variant: str | None) -> StoredModel:
        """The model that answers one request: the candidate for its share, or as `variant` (X-Model-Variant) says."""
        current, candidate = self.require(), self._candidate
        if candidate is None or variant == "current":
            return current
        return candidate.stored if variant == "candidate" or random.random() < candidate.weight else current

    def require(self) -> StoredModel:
        if self._current is None:
            raise unavailable("model_not_loaded", f"no model is loaded: {self.problem}")
        return self._current

    def reload(self) -> StoredModel:
        """Loads what the directory holds now, the candidate too. Raises ModelError and keeps the former model.

        A candidate that cannot be loaded gets no requests; the current model is loaded all the same.
        """
        with self._lock:
            try:
                stored = self._load_current()
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
            MODEL_ACCURACY.set(accuracy_of(stored))
            MODEL_AUC.set(float(stored.metrics.get("roc_auc", 0)))
            log.info("model loaded", extra={"fields": {"version": stored.version, "sha256": stored.sha256}})
            self._load_candidate(stored)
            return stored

    def _load_current(self) -> StoredModel:
        """A candidate that becomes current is in memory already."""
        directory, candidate = self.directory(), self._candidate
        if candidate and artefacts.manifest_digest(directory) == candidate.stored.sha256:
            return candidate.stored
        return artefacts.load(directory, REQUIRED_FILES)

    def _load_candidate(self, current: StoredModel) -> None:
        known, self._split = self._candidate, split.digest(self._directory)
        try:
            wish = split.read(self._directory)
            wished = wish is not None and wish.sha256 != current.sha256
            self._candidate = split.load(wish, REQUIRED_FILES, known and known.stored) if wish and wished else None
            self.candidate_problem = None
        except ModelError as error:
            self._candidate, self.candidate_problem = None, str(error)
            log.error("the candidate gets no requests: %s", error)
        now = self._candidate
        self.served.keep({current.sha256, *([now.stored.sha256] if now else [])})
        if now and (known is None or known.stored.sha256 != now.stored.sha256 or known.weight != now.weight):
            log.info("candidate loaded", extra={"fields": {"version": now.stored.version, "weight": now.weight}})

    def start(self) -> None:
        try:
            self.reload()
        except ModelError:
            MODEL_LOADED.set(0)
        threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        """Loads another manifest, or another candidate, once it has been seen twice the same (S1-77).

        The manifest is small: hashing it notices what times and sizes do not. A failed attempt is repeated, more and
        more slowly, because the files may still be arriving.
        """
        seen: tuple[str, str | None] | None = None
        failures, wait_until = 0, 0.0
        while not self._stop.wait(WATCH_SECONDS):
            try:
                digest = artefacts.manifest_digest(self.directory()), split.digest(self._directory)
            except ModelError:
                seen = None
                continue
            loaded = (self._current.sha256, self._split) if self._current else None
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
