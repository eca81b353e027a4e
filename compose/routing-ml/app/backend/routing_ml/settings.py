"""Settings from the environment. All problems are reported at once, none with its value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

KNOWN_DEFAULTS = frozenset(
    "admin changeme change-me default demo example letmein operator password postgres routing secret test".split()
)


class SettingsError(Exception):
    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    environment: str
    log_level: str
    database_url: str
    redis_url: str | None
    cache_seconds: int
    jwt_secret: str
    token_seconds: int
    demo_user: str | None
    demo_password: str | None
    auth_users: str
    cors_origins: tuple[str, ...]
    model_directory: Path
    registry_path: Path
    training_directory: Path


def _too_simple(secret: str) -> bool:
    lowered = secret.lower()
    return len(set(secret)) < 8 or any(word in lowered for word in ("changeme", "change-me", "change_me", "your-secret"))


def read_settings(env: Mapping[str, str] = os.environ) -> Settings:
    """Reads and checks the environment. Raises SettingsError with every problem found (S1-8 to S1-16)."""
    problems: list[str] = []

    def need(ok: bool, problem: str) -> None:
        if not ok:
            problems.append(problem)

    def seconds(name: str, default: int) -> int:
        raw = env.get(name, "") or str(default)
        need(raw.isdecimal() and 0 < int(raw) <= 86_400, f"{name} must be a number of seconds between 1 and 86400")
        return int(raw) if raw.isdecimal() else default

    environment = env.get("ENVIRONMENT", "") or "production"
    need(environment in ("production", "staging", "development"), "ENVIRONMENT must be production, staging or development")
    log_level = (env.get("LOG_LEVEL", "") or "INFO").upper()
    need(log_level in ("DEBUG", "INFO", "WARNING", "ERROR"), "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR")

    database_url = env.get("DATABASE_URL", "")
    need(urlsplit(database_url).scheme in ("postgresql", "postgres"), "DATABASE_URL must be a postgresql:// address")
    redis_url = env.get("REDIS_URL", "") or None
    need(redis_url is None or urlsplit(redis_url).scheme in ("redis", "rediss"), "REDIS_URL must be a redis:// address")

    jwt_secret = env.get("JWT_SECRET", "")
    need(len(jwt_secret) >= 32, "JWT_SECRET must have at least 32 characters")
    need(len(jwt_secret) < 32 or not _too_simple(jwt_secret), "JWT_SECRET is a default or too simple; make a random one")

    demo_user, demo_password = env.get("DEMO_USER", "") or None, env.get("DEMO_PASSWORD", "") or None
    auth_users = env.get("AUTH_USERS", "")
    need(bool(auth_users) or bool(demo_user and demo_password), "no users: set AUTH_USERS, or DEMO_USER and DEMO_PASSWORD")
    if demo_password is not None:
        ok = len(demo_password) >= 12 and demo_password.lower() not in KNOWN_DEFAULTS and len(set(demo_password)) >= 6
        need(ok, "DEMO_PASSWORD is a default, too short (12 characters at least) or too simple")

    origins = tuple(origin.strip() for origin in env.get("CORS_ORIGINS", "").split(",") if origin.strip())
    for origin in origins:
        parts = urlsplit(origin)
        complete = parts.scheme in ("http", "https") and bool(parts.netloc) and parts.path == ""
        need(complete, "CORS_ORIGINS must list origins such as https://routing.example.com")
        insecure = environment == "production" and ("*" in origin or parts.scheme != "https")
        need(not insecure, "CORS_ORIGINS must list https origins without wildcards in production")

    cache_seconds, token_seconds = seconds("CACHE_SECONDS", 300), seconds("JWT_TTL_SECONDS", 3600)
    if problems:
        raise SettingsError(problems)
    model_directory = Path(env.get("MODEL_DIRECTORY", "") or "/app/models")
    return Settings(
        environment=environment,
        log_level=log_level,
        database_url=database_url,
        redis_url=redis_url,
        cache_seconds=cache_seconds,
        jwt_secret=jwt_secret,
        token_seconds=token_seconds,
        demo_user=demo_user,
        demo_password=demo_password,
        auth_users=auth_users,
        cors_origins=origins,
        model_directory=model_directory,
        registry_path=Path(env.get("MODEL_REGISTRY_PATH", "") or model_directory / "registry.db"),
        training_directory=Path(env.get("TRAINING_DIRECTORY", "") or "/app/training"),
    )
