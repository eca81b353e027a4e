"""The catalogue that a new installation starts with: fictitious parts and the operations of each route."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

from .features import NUMERIC

CATALOGUE = Path(__file__).with_name("items.csv")

ROUTES: dict[str, list[str]] = {
    "TURN_BASIC": ["saw", "turn", "deburr", "inspect"],
    "TURN_GRIND": ["saw", "turn", "harden", "grind", "inspect"],
    "MILL_3AXIS": ["saw", "mill 3-axis", "deburr", "inspect"],
    "MILL_5AXIS": ["saw", "mill 5-axis", "deburr", "measure", "inspect"],
    "MILL_ANODISE": ["saw", "mill 3-axis", "deburr", "anodise", "inspect"],
    "SHEET_LASER": ["laser cut", "deburr", "bend", "inspect"],
    "SHEET_PAINT": ["laser cut", "deburr", "bend", "paint", "inspect"],
    "MOULD_TRIM": ["mould", "trim", "inspect"],
}


def items() -> list[dict[str, Any]]:
    """The parts of the starting catalogue, with features and route."""
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        return [{key: float(value) if key in NUMERIC else value for key, value in row.items()} for row in csv.DictReader(file)]


def sha256() -> str:
    return hashlib.sha256(CATALOGUE.read_bytes()).hexdigest()
