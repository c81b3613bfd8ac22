import http.client
import json
import threading
import time
from contextlib import closing

import pytest
import uvicorn

from barcodemae.serving.app import Limits, make_app
from barcodemae.serving.server import bind


class Served:
    """A server in a thread, and a client of it."""

    def __init__(self, identifier, examine=None, **limits):
        app = make_app(identifier, examine or identifier.examine, 2, Limits(**limits))
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        self.socket = bind("127.0.0.1", 0)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.socket.getsockname()[1])
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers


@pytest.fixture(scope="module")
def served(identifier):
    with Served(identifier, max_bytes=20_000, max_records=30) as served:
        yield served


def test_barcodes_are_named(served, queries):
    status, text, headers = served.ask("POST", "/identify", queries)
    assert status == 200
    assert headers["content-type"].startswith("text/tab-separated-values")
    assert text.splitlines()[1].startswith("q00\tArthropoda\t")


def test_json_is_answered_in_json_lines(served, queries):
    body = json.dumps({"sequences": {"mine": queries.splitlines()[1]}})
    status, text, headers = served.ask(
        "POST", "/identify", body, **{"Content-Type": "application/json"}
    )
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    assert json.loads(text)["id"] == "mine"


def test_health_says_what_is_served(served, identifier):
    status, text, _ = served.ask("GET", "/health")
    assert status == 200
    assert json.loads(text)["references"] == len(identifier.library)


def test_requests_and_names_are_counted_for_prometheus(served, queries):
    served.ask("POST", "/identify", queries)
    text = served.ask("GET", "/metrics")[1]
    assert 'barcodemae_requests_total{path="/identify",status="200"}' in text
    assert 'barcodemae_records_total{outcome="rejected"}' in text
    assert "barcodemae_waiting_records 0.0" in text


def test_paths_that_someone_makes_up_are_counted_together(served):
    served.ask("GET", "/made/up")
    text = served.ask("GET", "/metrics")[1]
    assert 'path="other"' in text
    assert "/made/up" not in text


def test_the_interface_is_described(served):
    assert "/identify" in json.loads(served.ask("GET", "/openapi.json")[1])["paths"]


def test_a_body_beyond_the_limit_is_refused(served):
    status, text, _ = served.ask("POST", "/identify", ">a\n" + "A" * 20_000)
    assert (status, "20000 bytes" in text) == (413, True)


def test_more_records_than_the_limit_are_refused(served):
    assert served.ask("POST", "/identify", ">a\nACGT\n" * 31)[0] == 413


def test_packed_bodies_are_refused(served):
    assert served.ask("POST", "/identify", "x", **{"Content-Encoding": "gzip"})[0] == 415


def test_mistakes_are_told_in_a_line(served):
    status, text, _ = served.ask("POST", "/identify?threshold=nonsense", ">a\nACGT\n")
    assert status == 400
    assert "nonsense" in json.loads(text)["error"]


def test_only_those_with_the_token_are_answered(identifier, queries):
    with Served(identifier, token="secret") as served:
        assert served.ask("POST", "/identify", queries)[0] == 401
        assert served.ask("POST", "/identify", queries, Authorization="Bearer other")[0] == 401
        assert served.ask("POST", "/identify", queries, Authorization="Bearer secret")[0] == 200
        assert served.ask("GET", "/metrics")[0] == 401
        assert served.ask("GET", "/health")[0] == 200


def test_a_full_queue_turns_requests_away_and_says_when_to_come_again(identifier, queries):
    with Served(identifier, max_waiting=5) as served:
        status, _, headers = served.ask("POST", "/identify", queries)
    assert (status, headers["retry-after"]) == (503, "5")


def test_a_request_that_takes_too_long_is_given_up(identifier, queries):
    may_go_on = threading.Event()

    def examine(records):
        may_go_on.wait()
        return identifier.examine(records)

    with Served(identifier, examine, seconds=0.2) as served:
        assert served.ask("POST", "/identify", queries)[0] == 504
        may_go_on.set()


def test_clients_that_ask_at_once_each_get_their_own_answer(served, queries):
    records = [f">{part}" for part in queries.split(">")[1:25]]
    answers = {}

    def ask(place):
        answers[place] = served.ask("POST", "/identify?mixture=60,30,10", records[place])[1]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = served.ask("POST", "/identify?mixture=60,30,10", "".join(records))[1].splitlines()
    assert [answers[place].splitlines()[1] for place in range(24)] == together[1:]
