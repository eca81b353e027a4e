"""python3 -m routing_model.trial CANDIDATE [BASELINE]: measures a model before it serves, as one JSON object.

Run in a container of its own, without network. What it prints is compared with the limits of a policy by whoever runs it.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from . import artefacts, catalogue, training

SINGLE = 200
"""Requests of one item each, after as many that nobody counts."""


def measure(candidate: Path, baseline: Path | None) -> dict[str, Any]:
    """Latencies in seconds, memory in bytes, shares from 0 to 1."""
    started = time.perf_counter()
    model = artefacts.load(candidate).model
    load_seconds = time.perf_counter() - started
    items = training.usable(catalogue.items())
    rankings = model.rank(items)
    for item in items[:SINGLE]:
        model.rank([item])
    single = []
    for item in items[:SINGLE]:
        started = time.perf_counter()
        model.rank([item])
        single.append(time.perf_counter() - started)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < 1.0:
        model.rank(items)
        done += len(items)
    throughput = done / (time.perf_counter() - started)
    confidences = np.array([ranking.candidates[0][1] for ranking in rankings])
    shares = np.array([share for ranking in rankings for _, share in ranking.candidates])
    held = [ranking.interval[0] <= ranking.candidates[0][1] <= ranking.interval[1] for ranking in rankings]
    report: dict[str, Any] = {
        "samples": len(items),
        "load": round(load_seconds, 4),
        "latency": round(float(np.quantile(single, 0.99)), 6),
        "throughput": round(throughput, 1),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "range": float(np.mean((shares >= 0) & (shares <= 1) & np.isfinite(shares))),
        "interval": float(np.mean(held)),
        "spread": round(float(confidences.std()), 4),
        "libraries": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "joblib": joblib.__version__,
        },
    }
    if baseline is not None:
        before = artefacts.load(baseline).model.rank(items)
        same = [new.candidates[0][0] == old.candidates[0][0] for new, old in zip(rankings, before, strict=True)]
        report["golden"] = float(np.mean(same))
    return report


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    candidate, *rest = (Path(argument) for argument in arguments)
    baseline = rest[0] if rest and (rest[0] / artefacts.MANIFEST).is_file() else None
    try:
        report = measure(candidate, baseline)
    except artefacts.ModelError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report))
    return 0


sys.exit(main(sys.argv[1:]))
