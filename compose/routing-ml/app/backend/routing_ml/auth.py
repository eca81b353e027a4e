"""Users, passwords and tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time

import jwt

from .errors import Refusal
from .settings import Settings, SettingsError

ISSUER = "routing-ml"
COST = (16384, 8, 1)
"""scrypt's N, r, p: about 50 ms and 16 MB for each attempt."""


def hash_password(password: str) -> str:
    """`scrypt.N.r.p.salt.hash`, free of characters that a Compose environment file would interpret."""
    salt = os.urandom(16)
    digest = _scrypt(password, salt, *COST)
    return ".".join(["scrypt", *map(str, COST), _encode(salt), _encode(digest)])


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=128 * 1024 * 1024, dklen=32)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """Checks passwords against AUTH_USERS (`name=hash,…`) and the demo user; issues and reads tokens."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.jwt_secret
        self._seconds = settings.token_seconds
        self._hashes = _parse_users(settings.auth_users)
        if settings.demo_user and settings.demo_password and settings.demo_user not in self._hashes:
            self._hashes[settings.demo_user] = hash_password(settings.demo_password)
        self._nobody = hash_password(_encode(os.urandom(16)))

    def token(self, user: str, password: str) -> tuple[str, int]:
        """A token and its lifetime in seconds. An unknown user takes as long as a wrong password."""
        _, n, r, p, salt, digest = self._hashes.get(user, self._nobody).split(".")
        actual = _scrypt(password, _decode(salt), int(n), int(r), int(p))
        if not hmac.compare_digest(actual, _decode(digest)) or user not in self._hashes:
            raise Refusal(401, "bad_credentials", "user or password is wrong")
        now = int(time.time())
        claims = {"sub": user, "iss": ISSUER, "iat": now, "exp": now + self._seconds}
        return jwt.encode(claims, self._secret, algorithm="HS256"), self._seconds

    def user(self, authorization: str | None) -> str:
        """The user of an `Authorization: Bearer …` header. Raises Refusal 401."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "not_authenticated", "send the token of /api/auth/login as Authorization: Bearer …")
        try:
            claims = jwt.decode(
                token.strip(), self._secret, algorithms=["HS256"], issuer=ISSUER, options={"require": ["sub", "exp"]}
            )
        except jwt.ExpiredSignatureError:
            raise Refusal(401, "token_expired", "the token has expired; log in again") from None
        except jwt.PyJWTError:
            raise Refusal(401, "bad_token", "the token is not valid") from None
        return str(claims["sub"])


def _parse_users(text: str) -> dict[str, str]:
    users: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, stored = entry.partition("=")
        parts = stored.split(".")
        try:
            ok = bool(name) and parts[0] == "scrypt" and len(parts) == 6 and len(_decode(parts[5])) == 32
            _scrypt("", _decode(parts[4]), int(parts[1]), int(parts[2]), int(parts[3]))
        except (ValueError, IndexError, binascii.Error):
            ok = False
        if not ok:
            raise SettingsError(["AUTH_USERS must be name=scrypt.N.r.p.salt.hash, separated by commas (see hash-password)"])
        users[name] = stored
    return users
