"""A second model version for a share of the requests, as `candidate.json` beside `current` asks for (S3-25).

    {"name": "routing-similarity", "version": "2026.2", "sha256": "…", "weight": 0.1}

Whoever writes that file replaces it by a rename. Without it, or where it names what is current, every request is answered
by the current model.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from routing_model import artefacts
from routing_model.artefacts import ModelError, StoredModel

FILE = "candidate.json"
MAX_BYTES = 4096
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


@dataclass(frozen=True)
class Wish:
    """What the file says."""

    directory: Path
    sha256: str
    weight: float
    """Share of the requests, above 0 and below 1."""


@dataclass(frozen=True)
class Candidate:
    stored: StoredModel
    weight: float


def digest(directory: Path) -> str | None:
    """SHA-256 of the file's bytes, None without one that can be read."""
    try:
        return hashlib.sha256((directory / FILE).read_bytes()[: MAX_BYTES + 1]).hexdigest()
    except OSError:
        return None


def read(directory: Path) -> Wish | None:
    """None where there is no such file. Raises ModelError for one that says nothing that could be done."""
    try:
        with (directory / FILE).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{FILE} cannot be read: {error.strerror}") from error
    try:
        said = json.loads(raw) if len(raw) <= MAX_BYTES else None
    except ValueError as error:
        raise ModelError(f"{FILE} is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise ModelError(f"{FILE} is not a JSON object of up to {MAX_BYTES} bytes")
    labels = [said.get("name"), said.get("version")]
    if not all(isinstance(label, str) and LABEL.fullmatch(label) for label in labels):
        raise ModelError(f"{FILE} names no version")
    weight, sha256 = said.get("weight"), said.get("sha256")
    if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0 < weight < 1:
        raise ModelError(f"{FILE} has no weight between 0 and 1")
    return Wish(directory.joinpath("versions", *map(str, labels)), str(sha256), float(weight))


def load(wish: Wish, required: tuple[str, ...], known: StoredModel | None) -> Candidate:
    """Loads what is wished for; `known` is used again where it is the same. Raises ModelError."""
    stored = known if known and known.sha256 == wish.sha256 else artefacts.load(wish.directory, required)
    if stored.sha256 != wish.sha256:
        raise ModelError(f"{FILE} asks for {wish.sha256[:12]}, and {wish.directory.name} is {stored.sha256[:12]}")
    return Candidate(stored, wish.weight)
