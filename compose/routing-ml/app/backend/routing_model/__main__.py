"""python3 -m routing_model DIRECTORY VERSION CREATED_AT NEIGHBOURS [SHARE]: trains the model that a release ships.

It is trained on the starting catalogue, or on the given share (percent) of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import artefacts, catalogue, training


def main(arguments: list[str]) -> int:
    if len(arguments) not in (4, 5):
        print(__doc__, file=sys.stderr)
        return 2
    directory, version, created_at, neighbours = arguments[:4]
    share = int(arguments[4]) if len(arguments) == 5 else 100
    rows = catalogue.items()
    rows = [row for index, row in enumerate(rows) if index * share // 100 != (index - 1) * share // 100]
    model, metrics = training.train(rows, int(neighbours))
    digest = artefacts.save(Path(directory), model, version, created_at, catalogue.ROUTES, metrics, catalogue.sha256())
    print(json.dumps({"version": version, "sha256": digest, "metrics": metrics}, indent=2))
    return 0


sys.exit(main(sys.argv[1:]))
