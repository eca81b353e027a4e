"""Which release this is, and for which schema it was built."""

from __future__ import annotations

import os
import re
from pathlib import Path

HERE = Path(__file__).parent.parent


def _release() -> str:
    """What the platform says this container runs, else what was built into the image."""
    told = os.environ.get("APPLIANCE_RELEASE", "").strip()
    name = told or (HERE / "VERSION").read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,127}", name):
        raise SystemExit("APPLIANCE_RELEASE is not the name of a release")
    return name


RELEASE = _release()

SCHEMA_VERSION = max(int(path.name[:4]) for path in (HERE / "migrations" / "versions").glob("[0-9]*.py"))
"""The newest migration that this release brings along."""
