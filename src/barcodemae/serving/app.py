"""The HTTP application: POST /identify, GET /health, GET /metrics, and the OpenAPI page at /docs.

In: limits, workers, and an identifier that names what the workers found. Out: a FastAPI
application. Guarded by tests/barcodemae/serving/test_app.py.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from barcodemae import __version__
from barcodemae.errors import WorkerError
from barcodemae.eval.identify.identification import Identifier
from barcodemae.serving.answers import answer
from barcodemae.serving.metrics import Metrics
from barcodemae.serving.questions import TOO_LARGE, RefusedError, read_question
from barcodemae.serving.record_queue import Examine, QueueFullError, RecordQueue


UNAUTHORIZED, TIMED_OUT, FAILED, BUSY, NOT_READ = 401, 504, 500, 503, 415
RETRY_AFTER = {"Retry-After": "5"}  # seconds, for a client that finds the queue full
CONTENT_TYPES = {"jsonl": "application/x-ndjson"}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": ">query\nAACATTATATTTT..."},
            "application/json": {
                "schema": {"type": "object"},
                "example": {"sequences": {"query": "AACATTATATTTT..."}},
            },
        },
    }
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes on.

    Attributes:
        max_bytes: Largest body of a request.
        max_records: Largest number of records of a request.
        max_waiting: Largest number of records that wait; beyond it requests are turned away.
        seconds: Time after which a request is given up.
        token: Token that requests must bear; empty for none.
    """

    max_bytes: int = 16 * 2**20
    max_records: int = 10_000
    max_waiting: int = 50_000
    seconds: float = 300.0
    token: str = ""


def make_app(identifier: Identifier, examine: Examine, num_workers: int, limits: Limits) -> FastAPI:
    """Make the application.

    Args:
        identifier: Identifier of the library.
        examine: Function that examines records; it blocks, and is called in threads.
        num_workers: Number of batches that are examined at the same time.
        limits: What the server takes on.
    """
    queue = RecordQueue(examine, num_workers, limits.max_waiting)
    metrics = Metrics(lambda: len(queue))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queue.start()
        yield
        await queue.stop()

    app = FastAPI(title="BarcodeMAE", version=__version__, lifespan=lifespan)

    @app.exception_handler(RefusedError)
    async def say_why(_: Request, error: RefusedError) -> JSONResponse:
        headers = RETRY_AFTER if error.status == BUSY else None
        return JSONResponse({"error": error.reason}, error.status, headers)

    @app.middleware("http")
    async def count(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        response = await go_on(request)
        metrics.add(request.url.path, response.status_code, time.perf_counter() - started)
        return response

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Say that the server is up, and what it serves."""
        library = identifier.library
        return {
            "status": "ok",
            "version": __version__,
            "references": len(library),
            "library": library.fingerprint(),
            "waiting": len(queue),
        }

    @app.get("/metrics")
    async def show_metrics(authorization: Annotated[str, Header()] = "") -> Response:
        """Show counts for Prometheus."""
        check_token(authorization, limits.token)
        return Response(metrics.text(), media_type=metrics.content_type)

    @app.post("/identify", openapi_extra=BODY)
    async def identify(
        request: Request,
        *,
        output_format: Annotated[str, Query(alias="format")] = "",
        threshold: str = "",
        mixture: str = "",
        authorization: Annotated[str, Header()] = "",
    ) -> Response:
        """Name the barcodes of the body: FASTA, FASTQ, or JSON `{"sequences": {ID: LETTERS}}`."""
        check_token(authorization, limits.token)
        body = await read_body(request, limits.max_bytes)
        question = await asyncio.to_thread(
            read_question,
            body,
            request.headers.get("content-type", ""),
            limits.max_records,
            output_format=output_format,
            threshold=threshold,
            mixture=mixture,
        )
        deadline = asyncio.get_running_loop().time() + limits.seconds
        chunks = answer(question, identifier, queue, metrics.count_names)
        # The status leaves with the first chunk, so what fails before it still has a status.
        first = await first_of(chunks, deadline)
        return StreamingResponse(
            until(deadline, first, chunks),
            media_type=CONTENT_TYPES.get(question.format, "text/tab-separated-values"),
        )

    return app


def check_token(authorization: str, token: str) -> None:
    """Refuse a request that does not bear the token.

    Raises:
        RefusedError: A token is wanted, and this is another one or none.
    """
    if token and not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        raise RefusedError(UNAUTHORIZED, "give the token: `Authorization: Bearer TOKEN`")


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read the body of a request, as it arrives and no further than the limit.

    Raises:
        RefusedError: It is larger than that, or packed.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(NOT_READ, "packed bodies are not read: send plain text")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise RefusedError(TOO_LARGE, f"a body may hold {max_bytes} bytes: send several")
    return bytes(body)


async def first_of(chunks: AsyncIterator[str], deadline: float) -> str:
    """Wait for the first chunk of an answer.

    Raises:
        RefusedError: Too many records wait, the time is over, or the workers failed.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(chunks)
    except QueueFullError as error:
        raise RefusedError(BUSY, "too many records are waiting: try again in a while") from error
    except TimeoutError as error:
        raise RefusedError(TIMED_OUT, "this took too long: send fewer records") from error
    except WorkerError as error:
        raise RefusedError(FAILED, str(error)) from error


async def until(deadline: float, first: str, chunks: Any) -> AsyncIterator[str]:
    """Yield the chunks of an answer; past the deadline the connection breaks off, unfinished."""
    try:
        yield first
        while True:
            async with asyncio.timeout_at(deadline):
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
            yield chunk
    finally:
        with suppress(RuntimeError):  # it is at a step of its own, which ends it
            await chunks.aclose()
