"""Training runs: one at a time over all replicas, each leaving a complete new model or none."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routing_model import artefacts, catalogue, training

from .database import Database
from .errors import Refusal, unavailable
from .metrics import TRAINING_LAST, TRAINING_RUNS, TRAINING_SECONDS
from .release import RELEASE

log = logging.getLogger(__name__)
NEIGHBOURS = 9
KEPT_VERSIONS = 10
NEEDED_BYTES = 64 * 1024 * 1024


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Replaces a file as a whole: a reader sees the old content or the new."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Trainer:
    """The directory is shared by the replicas; a file lock, which ends with its process, says who trains."""

    def __init__(self, directory: Path, database: Database) -> None:
        self._directory = directory
        self._versions = directory / "versions"
        self._database = database

    def start(self, user: str, dry_run: bool) -> dict[str, Any]:
        """Starts a run, or with `dry_run` only proves that one could start. Raises Refusal 409 while another runs."""
        run = {"run_id": uuid.uuid4().hex, "requested_by": user, "requested_at": _now(), "dry_run": dry_run,
               "release": RELEASE}
        lock = self._lock()
        try:
            checks = self._checks()
            if dry_run:
                os.close(lock)
                return {**run, "state": "accepted", "checks": checks}
            _write_json(self._directory / "training_request.json", run)
            self._note({**run, "state": "running", "started_at": _now()})
        except OSError as error:
            os.close(lock)
            raise unavailable("training_directory", f"the training directory cannot be written: {error.strerror}") from error
        except BaseException:
            os.close(lock)
            raise
        threading.Thread(target=self._run, args=(run, lock), name="training", daemon=True).start()
        return {**run, "state": "accepted", "checks": checks}

    def _lock(self) -> int:
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise unavailable("training_directory", f"the training directory cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise Refusal(409, "training_runs", "another training run has not ended yet") from None
        return lock

    def _checks(self) -> dict[str, Any]:
        free = shutil.disk_usage(self._directory).free
        if free < NEEDED_BYTES:
            raise unavailable("disk_full", f"training needs {NEEDED_BYTES} free bytes; there are {free}")
        rows = len(training.usable(self._database.all_items()))
        if rows < training.MINIMUM_ITEMS:
            raise Refusal(422, "not_enough_data", f"{rows} usable items; training needs {training.MINIMUM_ITEMS}")
        return {"usable_items": rows, "free_bytes": free, "writable": os.access(self._versions, os.W_OK)}

    def _run(self, run: dict[str, Any], lock: int) -> None:
        started, clock = _now(), time.perf_counter()
        record = {**run, "started_at": started, "finished_at": None, "metrics": None, "detail": None}
        try:
            record |= self._train()
            record["state"] = "succeeded"
            TRAINING_LAST.set_to_current_time()
        except Exception as error:  # whatever went wrong must be visible in the status, or nobody hears of it
            record |= {"state": "failed", "detail": getattr(error, "message", None) or str(error)}
            log.exception("training failed")
        try:
            record["finished_at"] = _now()
            TRAINING_RUNS.labels(record["state"]).inc()
            TRAINING_SECONDS.observe(time.perf_counter() - clock)
            self._note(record)
            self._database.record_training(record)
        except (OSError, Refusal):
            log.exception("the end of a training run could not be written down")
        finally:
            os.close(lock)
        log.info("training ended", extra={"fields": {"run_id": run["run_id"], "state": record["state"]}})

    def _train(self) -> dict[str, Any]:
        rows = training.usable(self._database.all_items())
        model, metrics = training.train(rows, NEIGHBOURS)
        data = json.dumps([{**row, "updated_at": None} for row in rows], sort_keys=True, default=str).encode()
        created = datetime.now(UTC)
        version = created.strftime("%Y%m%dT%H%M%S.%fZ")
        digest = artefacts.save(
            self._versions / version,
            model,
            version,
            created.isoformat(timespec="seconds").replace("+00:00", "Z"),
            catalogue.ROUTES,
            metrics,
            hashlib.sha256(data).hexdigest(),
        )
        for old in self.versions()[KEPT_VERSIONS:]:
            shutil.rmtree(self._versions / old, ignore_errors=True)
        return {"metrics": metrics, "version": version, "sha256": digest}

    def _note(self, state: dict[str, Any]) -> None:
        _write_json(self._directory / "status.json", state)

    def versions(self) -> list[str]:
        """Complete versions, newest first."""
        try:
            names = [path.name for path in self._versions.iterdir() if not path.name.startswith(".")]
        except OSError:
            return []
        return sorted(names, reverse=True)

    def status(self) -> dict[str, Any]:
        """The last run. A run whose process died shows as interrupted: its lock is free."""
        try:
            last = json.loads((self._directory / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"state": "idle", "run": None, "versions": self.versions()}
        state = last.get("state", "idle")
        if state == "running" and not self._locked():
            # It may have ended between the two looks.
            last = json.loads((self._directory / "status.json").read_text(encoding="utf-8"))
            state = "interrupted" if last.get("state") == "running" else last.get("state")
        return {"state": state, "run": last, "versions": self.versions()}

    def _locked(self) -> bool:
        try:
            lock = os.open(self._directory / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except OSError:
            return True
        finally:
            os.close(lock)
