"""Load on the server, on loopback: python benchmarks/serve_load.py --library LIB --queries FASTA.

64 clients, each with a connection per request, ask for random records with a fixed mixture, so that
every answer is known before: what `identify` writes for the file. In the middle a worker process
is killed; at the end the server gets SIGTERM while all clients are asking. Counted: answers that
differ, answers that broke off, requests per second and how long they took. Requests that the server
had not accepted when it ended are refused, not lost, and are counted apart.
Out: a results file, and a line. Guarded by tests/benchmarks/test_serve_load.py.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
from open_world import processor

from barcodemae.fasta import read_records
from barcodemae.files import write_json


MIXTURE = "60,30,10"
COMMAND = (sys.executable, "-m", "barcodemae")


class Load:
    """Clients of one server.

    Args:
        address: Address of the server.
        fasta: Id of a record -> its FASTA text.
        expected: Id of a record -> its row.
        most: Largest number of records of a request.
    """

    def __init__(
        self, address: str, fasta: dict[str, str], expected: dict[str, str], most: int
    ) -> None:
        self.host = urlsplit(address).netloc
        self.fasta, self.expected, self.most = fasta, expected, most
        self.lock = threading.Lock()
        self.seconds: list[float] = []
        self.counts = dict.fromkeys(("right", "differ", "broken_off", "refused", "records"), 0)
        self.has_ended = False

    def client(self, number: int) -> None:
        """Ask again and again until the server has ended."""
        generator = random.Random(number)
        ids = sorted(self.fasta)
        while not self.has_ended:
            chosen = generator.sample(ids, generator.randint(1, self.most))
            started = time.perf_counter()
            outcome = self.ask(chosen)
            with self.lock:
                self.counts[outcome] += 1
                if outcome == "right":
                    self.counts["records"] += len(chosen)
                    self.seconds.append(time.perf_counter() - started)
                self.has_ended |= outcome == "refused"

    def ask(self, chosen: list[str]) -> str:
        """Ask for the names of records; tell what came of it."""
        connection = http.client.HTTPConnection(self.host)
        with closing(connection):
            try:
                connection.request(
                    "POST",
                    f"/identify?mixture={MIXTURE}",
                    "".join(self.fasta[name] for name in chosen),
                    {"Connection": "close"},
                )
                answer = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                return "refused"  # not a byte of an answer: it was not accepted any more
            try:
                rows = answer.read().decode().splitlines()[1:]
            except (http.client.IncompleteRead, ConnectionError):
                return "broken_off"
        is_right = answer.status == http.client.OK
        is_right &= rows == [self.expected[name] for name in chosen]
        return "right" if is_right else "differ"


def identify(library: str, model: str, queries: Path, folder: Path) -> dict[str, str]:
    """Name the queries by the command line: id -> row."""
    output = folder / "expected.tsv"
    command = [*COMMAND, "identify", str(queries), "-r", library, "-m", model, "-o", str(output)]
    subprocess.run([*command, "--mixture", MIXTURE], check=True)
    rows = output.read_text().splitlines()[1:]
    return {row.partition("\t")[0]: row for row in rows}


def kill_a_worker(server: subprocess.Popen[str]) -> None:
    """Kill the child of the server that has computed most."""
    children = psutil.Process(server.pid).children()
    max(children, key=lambda child: sum(child.cpu_times()[:2])).kill()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start a server, put load on it, and count what comes back."""
    expected = identify(options.library, options.model, options.queries, folder)
    records = {r.id: f">{r.id}\n{r.sequence}\n" for r in read_records(options.queries)}
    fasta = {name: text for name, text in records.items() if name in expected}
    command = [*COMMAND, "serve", "-r", options.library, "-m", options.model, "--port", "0"]
    command += ["--workers", str(options.workers)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = next(line for line in server.stderr if "listening on" in line).split()[3].rstrip(",")
    load = Load(address, fasta, expected, options.most)
    clients = [
        threading.Thread(target=load.client, args=(number,)) for number in range(options.clients)
    ]
    started = time.perf_counter()
    for client in clients:
        client.start()
    time.sleep(options.seconds / 2)
    kill_a_worker(server)
    time.sleep(options.seconds / 2)
    server.send_signal(signal.SIGTERM)
    for client in clients:
        client.join()
    seconds = time.perf_counter() - started
    _, said = server.communicate()
    taken = np.array(load.seconds)
    return {
        "clients": options.clients,
        "workers": options.workers,
        "records_of_a_request": f"1 to {options.most}",
        "seconds": round(seconds, 1),
        **load.counts,
        "requests_per_second": round(len(taken) / seconds, 2),
        "records_per_second": round(load.counts["records"] / seconds, 1),
        "seconds_median": round(float(np.median(taken)), 3),
        "seconds_p99": round(float(np.quantile(taken, 0.99)), 3),
        "exit_code": server.returncode,
        "ended_in_order": "every request that was accepted has its answer" in said,
        "load_average": round(os.getloadavg()[0], 1),
        "processor": processor(),
    }


def main() -> None:
    """Measure, print a line and write the results file."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--library", required=True)
    options.add_argument("--queries", type=Path, required=True)
    options.add_argument("--model", default="default")
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--most", type=int, default=20, help="records of a request")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--json", type=Path, default=Path("results/speed/serve.json"))
    given = options.parse_args()
    with TemporaryDirectory() as folder:
        found = measure(given, Path(folder))
    write_json(given.json, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
