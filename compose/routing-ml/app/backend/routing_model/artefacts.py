"""Models as directories: written so that a half-written one is never seen, read only when every hash agrees.

A model directory holds encoder.joblib, scaler.joblib, similarity_engine.joblib, feature_weights.json, routes.json,
metrics.json and manifest.json, which names the others with their SHA-256 (S1-31, S2-4, S3-6).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from .encoder import Encoder
from .model import RoutingModel
from .scaler import Scaler
from .similarity import SimilarityEngine

MANIFEST = "manifest.json"
FILES = (
    "encoder.joblib",
    "scaler.joblib",
    "similarity_engine.joblib",
    "feature_weights.json",
    "routes.json",
    "metrics.json",
)
MAX_FILE_BYTES = 64 * 1024 * 1024


class ModelError(Exception):
    """The directory holds no model that may be loaded; the message says which file and why."""


@dataclass(frozen=True)
class StoredModel:
    model: RoutingModel
    manifest: dict[str, Any]
    sha256: str  # of the bytes of manifest.json
    routes: dict[str, list[str]]  # operations of each route
    metrics: dict[str, Any]

    @property
    def version(self) -> str:
        return str(self.manifest["version"])


def manifest_digest(directory: Path) -> str:
    """SHA-256 of the manifest's bytes. Raises ModelError when it cannot be read."""
    return hashlib.sha256(_read(directory / MANIFEST)).hexdigest()


def load(directory: Path, required: tuple[str, ...] = FILES) -> StoredModel:
    """Reads a model. Unpickling runs code, so nothing is unpickled before all files agree with the manifest."""
    raw = _read(directory / MANIFEST)
    manifest = _json_object(raw, MANIFEST)
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not isinstance(manifest.get("version"), str):
        raise ModelError(f"{MANIFEST} names no version or no files")
    for name in required:
        if not isinstance(listed.get(name), dict):
            raise ModelError(f"{name} is required by this release and is not in {MANIFEST}")
    for name, entry in listed.items():
        if name != os.path.basename(name) or not isinstance(entry, dict):
            raise ModelError(f"{MANIFEST} names {name!r}, which is no file of this directory")
        if hashlib.sha256(_read(directory / name)).hexdigest() != entry.get("sha256"):
            raise ModelError(f"{name} does not agree with its hash in {MANIFEST}")
    encoder = _unpickle(directory / "encoder.joblib", Encoder)
    scaler = _unpickle(directory / "scaler.joblib", Scaler)
    engine = _unpickle(directory / "similarity_engine.joblib", SimilarityEngine)
    weights = _json_object(_read(directory / "feature_weights.json"), "feature_weights.json")
    return StoredModel(
        model=RoutingModel(encoder, scaler, engine, weights),
        manifest=manifest,
        sha256=hashlib.sha256(raw).hexdigest(),
        routes=_json_object(_read(directory / "routes.json"), "routes.json"),
        metrics=_json_object(_read(directory / "metrics.json"), "metrics.json"),
    )


def save(
    directory: Path,
    model: RoutingModel,
    version: str,
    created_at: str,
    routes: Mapping[str, list[str]],
    metrics: Mapping[str, Any],
    dataset_sha256: str,
) -> str:
    """Writes a model under a name that does not exist yet and returns the digest of its manifest.

    Everything is written and flushed beside the final name, which appears by one rename.
    """
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        # Uncompressed: scanners of pickles skip compressed ones.
        joblib.dump(model.encoder, partial / "encoder.joblib", compress=0)
        joblib.dump(model.scaler, partial / "scaler.joblib", compress=0)
        joblib.dump(model.engine, partial / "similarity_engine.joblib", compress=0)
        _write_json(partial / "feature_weights.json", model.weights)
        _write_json(partial / "routes.json", dict(sorted(routes.items())))
        _write_json(partial / "metrics.json", metrics)
        manifest = {
            "format": 1,
            "name": "routing-similarity",
            "version": version,
            "created_at": created_at,
            "algorithm": f"weighted nearest neighbours, k={model.engine.neighbours}",
            "features": model.feature_names(),
            "libraries": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "joblib": joblib.__version__,
            },
            "training": {"items": len(model.engine.codes), "dataset_sha256": dataset_sha256},
            "files": {name: _entry(partial / name) for name in FILES},
        }
        _write_json(partial / MANIFEST, manifest)
        for path in [*partial.iterdir(), partial]:
            _flush(path)
        digest = manifest_digest(partial)
        partial.rename(directory)
        _flush(directory.parent)
        return digest
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error


def _json_object(data: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name} is not a JSON object")
    return value


def _unpickle[T](path: Path, wanted: type[T]) -> T:
    try:
        value = joblib.load(path)
    except Exception as error:  # a broken pickle raises whatever its opcodes run into
        raise ModelError(f"{path.name} cannot be loaded: {error}") from error
    if not isinstance(value, wanted):
        raise ModelError(f"{path.name} holds a {type(value).__name__}, not a {wanted.__name__}")
    return value
