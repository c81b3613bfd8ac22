"""The running server: a socket, the application, and an orderly end.

In: an address and the application. Out: nothing; it runs until SIGTERM or SIGINT. Then it accepts
no more, finishes the answers it is at, and returns. Guarded by
tests/barcodemae/cli/test_serve_command.py.
"""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from barcodemae.errors import SettingsError


SECONDS_TO_FINISH = 60  # the answers that are under way, when the server is told to end
LONGEST_QUEUE = 1024  # connections that wait to be accepted


class OrderlyServer(uvicorn.Server):
    """A server for which a signal is the usual way to end, not an error."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal end the server after its answers, the second at once."""
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """Bind an address.

    Args:
        host: Name or address of an interface.
        port: Port; 0 for any free one.

    Raises:
        SettingsError: It is in use, or not ours to take.
    """
    try:
        return socket.create_server((host, port), backlog=LONGEST_QUEUE)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def run(app: FastAPI, listening: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve until a signal comes.

    Args:
        app: The application.
        listening: Bound socket.
        tell: Function that says a line.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    host, port = listening.getsockname()[:2]
    tell(f"listening on http://{host}:{port}, documented at /docs; Ctrl-C ends")
    with listening:
        OrderlyServer(config).run([listening])
    tell("ended; every request that was accepted has its answer")
