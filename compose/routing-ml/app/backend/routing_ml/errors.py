"""Refusals that a caller sees: a code to act on and a sentence to read."""

from __future__ import annotations


class Refusal(Exception):
    """Answered as JSON `{"error": {"code": …, "message": …}}` with the given status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def unavailable(code: str, message: str) -> Refusal:
    return Refusal(503, code, message)
