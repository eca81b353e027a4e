"""What happens around every request: limits, request ids, figures, one log line. Plain ASGI, so it costs little."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections import deque
from typing import Any

from starlette.exceptions import HTTPException

from .metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS

log = logging.getLogger("routing_ml.access")
MAX_BODY = 1024 * 1024
QUIET = frozenset({"/health", "/metrics"})
# Requests that the journal of this release holds for a second.
JOURNAL_SLOTS = 5
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Journal:
    """The requests of the last second. It has as many slots as one developer needs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: deque[float] = deque()

    def note(self) -> None:
        now = time.monotonic()
        with self._lock:
            while self._times and now - self._times[0] > 1:
                self._times.popleft()
            if len(self._times) >= JOURNAL_SLOTS:
                raise OverflowError("the journal of requests is full")
            self._times.append(now)


JOURNAL = Journal()


class Around:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"]}
        told = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = told if re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", told) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status, received = 500, 0

        async def bounded() -> dict[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise HTTPException(413, f"a request body may have {MAX_BODY} bytes")
            return message

        async def labelled(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode("latin-1"))]
            await send(message)

        started = time.perf_counter()
        IN_FLIGHT.inc()
        try:
            if scope["path"] not in QUIET:
                JOURNAL.note()
            await self._app(scope, bounded, labelled)
        finally:
            IN_FLIGHT.dec()
            seconds = time.perf_counter() - started
            route = scope.get("route")
            path = getattr(route, "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            REQUESTS.labels(method, path, str(status)).inc()
            REQUEST_SECONDS.labels(method, path).observe(seconds)
            level = logging.ERROR if status >= 500 and path not in QUIET else logging.INFO
            if path in QUIET:
                level = logging.DEBUG
            if log.isEnabledFor(level):
                fields = {"requestId": request_id, "method": method, "path": scope["path"], "status": status,
                          "seconds": round(seconds, 5)}
                log.log(level, "request", extra={"fields": fields})
