"""python3 -m routing_ml: serves on port 8000 as a single process. `hash-password` prints an entry for AUTH_USERS."""

from __future__ import annotations

import json
import sys

from .settings import SettingsError, read_settings


def serve() -> int:
    import uvicorn

    from . import logs
    from .release import RELEASE

    try:
        settings = read_settings()
        logs.set_up(settings.log_level)
        from .app import create_app

        app = create_app(settings)
    except SettingsError as error:
        print(json.dumps({"level": "error", "release": RELEASE, "message": "the settings are not valid",
                          "problems": error.problems}), flush=True)
        return 78
    uvicorn.run(
        app,
        host="0.0.0.0",
        port=8000,
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("X-Appliance-Release", RELEASE)],
        # Longer than a proxy keeps idle connections: it must never be this side that closes one first.
        timeout_keep_alive=75,
        # On SIGTERM the requests in flight are finished.
        timeout_graceful_shutdown=30,
        backlog=2048,
    )
    return 0


def main(arguments: list[str]) -> int:
    if arguments == ["hash-password"]:
        from .auth import hash_password

        print(hash_password(sys.stdin.readline().rstrip("\n")))
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    return serve()


sys.exit(main(sys.argv[1:]))
