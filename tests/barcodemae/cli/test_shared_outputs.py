"""No command writes what another run is writing, or what it reads itself."""

import pytest

from barcodemae import cli
from barcodemae.output.lock import held


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared") / "data"
    command = ["prepare", "simulate", "--species", "60", "--barcodes-per-species", "4"]
    assert cli.main([*command, "-o", str(folder)]) == 0
    return folder


# Command -> its outputs, of which the first is held.
COMMANDS = {
    "prepare simulate -o OUT": "OUT",
    "index DATA -m kmer:3 -o OUT": "OUT",
    "describe DATA --plot OUT.png": "OUT.png",
    "probe -m kmer:3 --data DATA --json OUT.json": "OUT.json",
    "mask-study -m kmer:3 --data DATA --json OUT.json": "OUT.json",
    "mask-study -m kmer:3 --data DATA --json OUT.json --plot OUT.png": "OUT.png",
    "leaderboard RESULTS -o OUT.md": "OUT.md",
    "leaderboard RESULTS --figure OUT.svg": "OUT.svg",
    "plot-map -m kmer:3 --data DATA -o OUT.html": "OUT.html",
    "plot-map -m kmer:3 --data DATA -o OUT.html --seed 1": "OUT.png",
    "export --model default -o OUT": "OUT",
    "demo -o OUT": "OUT",
    "cluster QUERIES -m kmer:3 -o OUT.tsv --map OUT.html": "OUT.html",
    "embed QUERIES -m kmer:3 -o OUT.npy": "OUT.ids.txt",
    "identify QUERIES -r demo -o OUT.tsv --summary OUT.json": "OUT.json",
    "identify QUERIES -r demo -o OUT.tsv --candidates 2": "OUT.tsv.candidates.tsv",
    "identify QUERIES -r demo -o OUT.tsv": "OUT.tsv",
}
READS = {
    "describe DATA --plot PARQUET": "is the input itself",
    "probe -m kmer:3 --data DATA --json PARQUET": "is the input itself",
    "leaderboard RESULTS -o RESULTS": "is the input itself",
    "leaderboard RESULTS --figure RESULTS": "is the input itself",
    "identify QUERIES -r demo --summary QUERIES": "is the input itself",
    "identify QUERIES -r demo -o OUT.tsv --checklist RESULTS --summary RESULTS": "itself",
    "identify QUERIES -r demo -o OUT.tsv --summary OUT.tsv": "named for two outputs",
    "leaderboard RESULTS -o OUT.svg --figure OUT.svg": "named for two outputs",
}


@pytest.fixture
def run(tmp_path, dataset, capsys):
    (tmp_path / "in.fasta").write_text(">a\n" + "ACGTTGCA" * 20 + "\n")
    (tmp_path / "r.json").write_text("[]\n")
    given = {
        "OUT": tmp_path / "out",
        "DATA": dataset,
        "PARQUET": min(dataset.glob("*.parquet")),
        "QUERIES": tmp_path / "in.fasta",
        "RESULTS": tmp_path / "r.json",
    }

    def fill(text):
        for name, path in given.items():
            text = text.replace(name, str(path))
        return text

    def run(command):
        code = cli.main(fill(command).split())
        return code, capsys.readouterr().err

    run.fill = fill
    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_what_another_run_is_writing_is_refused(run, tmp_path, command):
    before = {path.name for path in tmp_path.iterdir()}
    output = tmp_path / run.fill(COMMANDS[command]).rpartition("/")[2]
    with held(output):
        code, said = run(command)
    assert code == 2
    assert f"{output} is being written by another run" in said
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("command", READS)
def test_what_is_read_is_never_written(run, tmp_path, dataset, command):
    places = (tmp_path, dataset)
    before = {path: path.read_bytes() for folder in places for path in folder.iterdir()}
    code, said = run(command)
    assert code == 2
    assert READS[command] in said
    assert {path: path.read_bytes() for folder in places for path in folder.iterdir()} == before
