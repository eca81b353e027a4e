"""Redis as a cache of predictions. Without it everything works, a little slower."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

import redis

from .metrics import CACHE

log = logging.getLogger(__name__)
REST_SECONDS = 5.0
"""How long the cache is left alone after it failed, so that no request waits for a dead server."""


class Cache:
    def __init__(self, url: str | None, seconds: int) -> None:
        self._seconds = seconds
        self._rests_until = 0.0
        self._lock = threading.Lock()
        self._client = (
            redis.Redis.from_url(url, socket_timeout=0.3, socket_connect_timeout=0.3, max_connections=32,
                                 health_check_interval=30)
            if url
            else None
        )

    def state(self) -> str:
        """`ok`, `down` or `off`. Asks the server only while it is believed to be well."""
        if self._client is None:
            return "off"
        return "ok" if self._call(lambda client: client.ping()) else "down"

    def get(self, keys: list[str]) -> list[dict[str, Any] | None]:
        """The stored value of each key, None where there is none."""
        raw = self._call(lambda client: client.mget(keys))
        if raw is None:
            CACHE.labels("unavailable").inc(len(keys))
            return [None] * len(keys)
        values = [json.loads(value) if value else None for value in raw]
        hits = sum(value is not None for value in values)
        CACHE.labels("hit").inc(hits)
        CACHE.labels("miss").inc(len(keys) - hits)
        return values

    def put(self, values: dict[str, dict[str, Any]]) -> None:
        def write(client: redis.Redis) -> bool:
            pipeline = client.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(key, json.dumps(value), ex=self._seconds)
            pipeline.execute()
            return True

        if values:
            self._call(write)

    def _call(self, action: Any) -> Any:
        """The action's result, or None when there is no cache to ask."""
        if self._client is None or time.monotonic() < self._rests_until:
            return None
        try:
            return action(self._client)
        except redis.RedisError as error:
            with self._lock:
                if time.monotonic() >= self._rests_until:
                    log.warning("the cache does not answer, going on without it: %s", type(error).__name__)
                self._rests_until = time.monotonic() + REST_SECONDS
            return None
