import os
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from barcodemae import cli
from barcodemae.demonstration import QUERIES


@pytest.fixture
def server():
    """`barcodemae serve` on a free port, and its address."""
    command = [sys.executable, "-m", "barcodemae", "serve", "-r", "demo", "--port", "0"]
    process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, text=True)
    line = next(line for line in process.stderr if "listening on" in line)
    yield process, line.split()[3].rstrip(",")
    process.kill()
    process.communicate()


def test_a_server_answers_and_ends_in_order_when_it_is_told_to(server):
    process, address = server
    body = QUERIES.read_bytes()
    with urllib.request.urlopen(f"{address}/identify", body) as answer:
        lines = answer.read().decode().splitlines()
    assert len(lines) == 1 + body.count(b">")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_no_worker_outlives_a_server_that_was_killed(server):
    process, _ = server
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    gone, alive = psutil.wait_procs(children, timeout=600)
    assert (len(gone), alive) == (len(children), [])


def test_a_port_in_use_is_told_in_a_line(server, capsys):
    _, address = server
    assert cli.main(["serve", "-r", "demo", "--port", address.rpartition(":")[2]]) == 2
    assert "cannot listen on" in capsys.readouterr().err


def test_others_are_let_in_with_a_token_only(capsys, monkeypatch):
    monkeypatch.delitem(os.environ, "BARCODEMAE_TOKEN", raising=False)
    assert cli.main(["serve", "-r", "demo", "--host", "0.0.0.0"]) == 2
    assert "BARCODEMAE_TOKEN" in capsys.readouterr().err
