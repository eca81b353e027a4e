"""The HTTP interface."""

import html
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, Self

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from routing_model.artefacts import ModelError, StoredModel
from routing_model.features import NUMERIC
from starlette.exceptions import HTTPException

from .auth import Authenticator
from .cache import Cache
from .database import Database
from .errors import Refusal
from .health import health
from .metrics import AUTH_FAILURES, WINDOW
from .middleware import Around
from .models import Models
from .predictor import Predictor
from .quality import data_quality
from .release import RELEASE, SCHEMA_VERSION
from .settings import Settings
from .trainer import Trainer

log = logging.getLogger(__name__)
STARTED = time.time()

ItemCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_-]{0,39}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 _-]{0,39}$")]
Size = Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Login(Strict):
    username: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Item(Strict):
    material: Word
    shape: Word
    surface: Word
    length_mm: Size
    width_mm: Size
    weight_kg: Size
    tolerance_um: Size
    batch_size: Size


class Predict(Strict):
    item_code: ItemCode | None = None
    features: Item | None = None

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        if (self.item_code is None) == (self.features is None):
            raise ValueError("give either item_code or features")
        return self


class Batch(Strict):
    item_codes: Annotated[list[ItemCode], Field(min_length=1, max_length=1000)]


class Training(Strict):
    dry_run: bool = False


def error_answer(status: int, code: str, message: str, details: Any = None) -> JSONResponse:
    body: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        body["details"] = details
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": body}, status_code=status, headers=headers)


def create_app(settings: Settings) -> FastAPI:
    database, cache = Database(settings.database_url), Cache(settings.redis_url, settings.cache_seconds)
    models, authenticator = Models(settings.model_directory), Authenticator(settings)
    predictor, trainer = Predictor(database, cache, models.served), Trainer(settings.training_directory, database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        database.open()
        models.start()
        yield
        models.stop()
        database.close()

    app = FastAPI(title="Routing ML", version=RELEASE, docs_url=None, redoc_url=None, lifespan=lifespan)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["X-Appliance-Release", "X-Model-Version"],
        )
    app.add_middleware(Around)

    def authenticated(authorization: Annotated[str | None, Header()] = None) -> str:
        try:
            return authenticator.user(authorization)
        except Refusal as refusal:
            AUTH_FAILURES.labels(refusal.code).inc()
            raise

    User = Annotated[str, Depends(authenticated)]
    Variant = Annotated[Literal["current", "candidate"] | None, Header(alias="X-Model-Variant")]

    def chosen(variant: str | None, response: Response) -> StoredModel:
        """The model for one request; the answer says which it was."""
        stored = models.choose(variant)
        response.headers["X-Model-Version"] = stored.version
        return stored

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return error_answer(refusal.status, refusal.code, refusal.message)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Where and why, without repeating what was sent: it may be a password.
        details = [{"where": ".".join(map(str, part["loc"])), "why": part["msg"]} for part in error.errors()[:20]]
        return error_answer(422, "invalid_request", "the request is not valid", details)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return error_answer(error.status_code, "http_error", str(error.detail))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return error_answer(500, "internal_error", "an error that was not foreseen; the log has the details")

    @app.get("/health")
    def get_health() -> JSONResponse:
        code, body = health(database, cache, models)
        return JSONResponse(body, status_code=code, headers={"Cache-Control": "no-store"})

    @app.get("/metrics")
    def get_metrics() -> Response:
        database.state()
        WINDOW.publish(NUMERIC)
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/stats")
    def get_stats(_: User) -> dict[str, Any]:
        code, body = health(database, cache, models)
        return {"health": body["status"], "release": RELEASE, "schema": SCHEMA_VERSION, "started_at": STARTED,
                "model": body["model"], "versions_trained": len(trainer.versions()), "status_code": code}

    @app.get("/docs", include_in_schema=False)
    def get_docs() -> HTMLResponse:
        rows = "".join(
            f"<tr><td>{method.upper()}</td><td><code>{html.escape(path)}</code></td>"
            f"<td>{html.escape(operation.get('summary', ''))}</td></tr>"
            for path, operations in app.openapi()["paths"].items()
            for method, operation in operations.items()
        )
        return HTMLResponse(
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Routing ML {html.escape(RELEASE)}</title>"
            f"<h1>Routing ML {html.escape(RELEASE)}</h1><p>The full description: <a href=/openapi.json>openapi.json</a>"
            f"</p><table>{rows}</table></html>"
        )

    @app.post("/api/auth/login")
    def login(body: Login) -> dict[str, Any]:
        try:
            token, seconds = authenticator.token(body.username, body.password)
        except Refusal as refusal:
            AUTH_FAILURES.labels(refusal.code).inc()
            raise
        return {"access_token": token, "token_type": "bearer", "expires_in": seconds, "user": body.username}

    @app.post("/api/routing/predict")
    def predict(body: Predict, user: User, response: Response, variant: Variant = None) -> dict[str, Any]:
        stored = chosen(variant, response)
        if body.features is not None:
            return predictor.by_features(stored, body.features.model_dump(), user)
        code = str(body.item_code)
        results, unknown = predictor.by_code(stored, [code], user)
        if unknown:
            raise Refusal(404, "unknown_item", f"{code} is not in the catalogue")
        return results[0]

    @app.post("/api/routing/predict/batch")
    def predict_batch(body: Batch, user: User, response: Response, variant: Variant = None) -> dict[str, Any]:
        results, unknown = predictor.by_code(chosen(variant, response), body.item_codes, user)
        return {"predictions": results, "unknown": unknown, "release": RELEASE}

    @app.get("/api/routing/items")
    def items(_: User) -> dict[str, Any]:
        return {"items": [row["item_code"] for row in database.all_items()]}

    @app.post("/api/trainer/run", status_code=202)
    def train(body: Training, user: User) -> dict[str, Any]:
        return trainer.start(user, body.dry_run)

    @app.get("/api/trainer/status")
    def training_status(_: User) -> dict[str, Any]:
        return trainer.status()

    @app.get("/api/data-quality/metrics")
    def quality(_: User) -> dict[str, Any]:
        return data_quality(database)

    @app.get("/api/models/active")
    def active_model() -> dict[str, Any]:
        stored, candidate = models.require(), models.candidate
        return {
            "name": stored.manifest.get("name"),
            "version": stored.version,
            "sha256": stored.sha256,
            "loaded_at": models.loaded_at,
            "candidate": candidate and {"name": candidate.stored.manifest.get("name"), "version": candidate.stored.version,
                                        "sha256": candidate.stored.sha256, "weight": candidate.weight},
            "candidate_problem": models.candidate_problem,
            "served": models.served.counts(),
            "features": stored.manifest.get("features"),
            "files": stored.manifest.get("files"),
            "metrics": stored.metrics,
            "registry": settings.registry_path.is_file(),
            "release": RELEASE,
        }

    @app.post("/api/models/reload")
    def reload_model(_: User) -> dict[str, Any]:
        before = models.current
        try:
            stored = models.reload()
        except ModelError as error:
            kept = f"; version {before.version} goes on" if before else ""
            raise Refusal(409, "model_refused", f"{error}{kept}") from error
        return {"version": stored.version, "sha256": stored.sha256, "loaded_at": models.loaded_at,
                "changed": before is None or before.sha256 != stored.sha256}

    return app
