import asyncio
import json

import pytest

from barcodemae import cli
from barcodemae.serving.answers import answer
from barcodemae.serving.questions import read_question
from barcodemae.serving.record_queue import QueueFullError, RecordQueue


def ask(identifier, text, *, max_waiting=1000, **parameters):
    """Ask in this process; give the text of the answer and its counts."""
    counted = []

    async def run():
        queue = RecordQueue(identifier.examine, 2, max_waiting)
        queue.start()
        question = read_question(text.encode(), "text/plain", 1000, **parameters)
        chunks = [c async for c in answer(question, identifier, queue, counted.append)]
        await queue.stop()
        return "".join(chunks)

    return asyncio.run(run()), counted


@pytest.mark.parametrize("more", [{}, {"mixture": "50,40,10"}, {"threshold": "species=0.9"}])
@pytest.mark.parametrize("form", ["tsv", "jsonl", "sintax", "qiime2"])
def test_the_lines_are_those_that_identify_writes_for_a_file(
    identifier, folder, queries, tmp_path, form, more
):
    options = [word for key, value in more.items() for word in (f"--{key}", value)]
    command = ["identify", str(folder / "queries.fasta"), "-r", str(folder / "lib"), "-m", "kmer:3"]
    assert cli.main([*command, "-o", str(tmp_path / "o"), "--format", form, *options]) == 0
    found, _ = ask(identifier, queries, output_format=form, **more)
    lines = [
        x for x in found.splitlines() if not x.startswith("# rejected") and 'rejected":' not in x
    ]
    assert lines == (tmp_path / "o").read_text().splitlines()


def test_every_record_is_named_or_listed_with_its_reason(identifier, queries):
    found, (summary,) = ask(identifier, queries)
    rejected = [line.split("\t") for line in found.splitlines() if line.startswith("#")]
    assert [cells[:2] for cells in rejected] == [
        ["# rejected: 25", "tiny"],
        ["# rejected: 26", "pep"],
    ]
    assert len(found.splitlines()) == 1 + 24 + 2
    assert sum(summary.records.values()) == 26


def test_rejected_records_are_objects_of_json_lines(identifier, queries):
    found, _ = ask(identifier, queries, output_format="jsonl")
    last = json.loads(found.splitlines()[-1])
    assert (last["id"], last["number"]) == ("pep", 26)
    assert last["rejected"]


def test_nothing_is_written_where_too_much_waits(identifier, queries):
    with pytest.raises(QueueFullError):
        ask(identifier, queries, max_waiting=3)
