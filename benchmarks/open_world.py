"""The open-world benchmark of `identify`: python benchmarks/open_world.py --data DATA.

References are `train`. In every part all methods name the same queries:

    closed                     seen and unseen species, as in `identify.py`
    genera, families, orders   a third of the queries' taxa not among the references, several draws
    foreign                    other phyla (of `pretrain`), sequences that are no barcodes, a sample
    small                      a few references of a few orders, asked for these, others and phyla
    ties                       species with a twin of the same letters
    gaps, errors, lengths      unknown bases, joined reads, sequencing errors, windows
    speed                      queries per second beside VSEARCH's best hit

`identify` is run as strangers run it, by its command line, on one file per set; its library is
indexed by the command line too. Rivals (`rivals/`) that are not installed are left out, and the
results say so: apt-get install -y vsearch ncbi-blast+ rdp-classifier mmseqs2 r-bioc-dada2.

What a method named is kept in --work, so a run that was killed goes on where it stopped, and only
scores are made again; `--fresh identify` forgets what `identify` named, and its libraries. Rows of
the results file that a run does not make stay. For choices give `--splits val,val_unseen
--held-out ""`, which calibrates on references left out and not on the queries; for reporting, once,
`--splits test,test_unseen`. Out: the results file, of which
`open_world_page.py` makes docs/trust.md. Guarded by tests/benchmarks/test_open_world.py.
"""

import argparse
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import typer
from identify import Contest, measure_speed
from rivals.roster import RIVALS
from worlds.contest import OURS, Contestants, Library, Row, Settings, fingerprint, libraries_of
from worlds.draws import draw_rows
from worlds.parts import PARTS, Part, Source
from worlds.results_file import SPEED, Results

from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.programs import MissingProgramError


MAX_TIMED = 2000  # queries


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def time_all(part: Part, settings: Settings) -> Iterator[Row]:
    """Time the command lines of this project and of VSEARCH alternately; say the index time too."""
    library = Library(part, settings)
    (queries,) = part.sets.values()
    timed = queries.take(draw_rows(len(queries.ids), MAX_TIMED))
    contest = Contest(ReferenceLibrary(library.open()), {}, timed, settings.threads)
    folder = settings.work / "timing"
    folder.mkdir(parents=True, exist_ok=True)
    for method, scores in measure_speed(contest, settings.model, folder).items():
        index = {"index_seconds": library.seconds} if method == OURS else {}
        yield {
            "part": SPEED,
            "draw": None,
            "set": f"{settings.threads} threads",
            "method": method,
            "queries": len(timed.ids),
            "references": part.references.num_rows,
            "processor": processor(),
            "scores": scores | index,
            "command": settings.command,
        }


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder of a prepared data set")
    options.add_argument("--model", default="default", help="model folder, Hub name, kmer:K")
    options.add_argument("--splits", default="test,test_unseen", help="seen and unseen species")
    options.add_argument(
        "--held-out", default="val,val_unseen", help="partitions to calibrate with"
    )
    options.add_argument("--parts", default=",".join((*PARTS, SPEED)), help="parts to run")
    options.add_argument("--methods", default=",".join((OURS, *RIVALS)), help="methods to run")
    options.add_argument("--draws", type=int, default=3, help="draws of taxa that are left out")
    options.add_argument("--limit", type=int, help="largest number of queries of a set")
    options.add_argument("--threads", type=int, default=2, help="threads of every method")
    options.add_argument("--foreign", type=Path, help="FASTA of more sequences of foreign phyla")
    options.add_argument("--not-coi", type=Path, help="FASTA of more that are no barcodes")
    options.add_argument("--work", type=Path, default=Path("out/open_world"), help="what is kept")
    options.add_argument("--fresh", default="", help="methods whose kept names are forgotten")
    options.add_argument("--json", type=Path, default=Path("results/identify/open_world.json"))
    return options


def listed(text: str, known: tuple[str, ...], what: str) -> list[str]:
    """Split a comma-separated option.

    Raises:
        SettingsError: A name is not known.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise SettingsError(f"{what} {name!r} is not one of {', '.join(known)}")
    return names


def command_of(options: argparse.Namespace) -> str:
    """Write the command down; paths are shortened to names."""
    words = ["python benchmarks/open_world.py", f"--data {options.data.resolve().name}"]
    words += [f"--model {Path(options.model).name}", f"--splits {options.splits}"]
    words += [f"--draws {options.draws}", f"--threads {options.threads}"]
    if options.held_out != "val,val_unseen":
        words += [f"--held-out '{options.held_out}'"]
    words += [f"--limit {options.limit}"] if options.limit else []
    given = {"--foreign": options.foreign, "--not-coi": options.not_coi}
    return " ".join([*words, *(f"{key} {path.name}" for key, path in given.items() if path)])


def main() -> None:
    """Name the queries of an open world by `identify` and its rivals."""
    options = parser().parse_args()
    known = (OURS, *RIVALS)
    methods = listed(options.methods, known, "method")
    fresh = listed(options.fresh, known, "method")
    parts = listed(options.parts, (*PARTS, SPEED), "part")
    hashed = dataset_hash(options.data)
    settings = Settings(
        model=options.model,
        threads=options.threads,
        work=options.work,
        command=command_of(options),
    )
    given = [str(path) for path in (options.foreign, options.not_coi)]
    asked = fingerprint(hashed, options.splits, str(options.limit), *given)
    if OURS in fresh:
        shutil.rmtree(libraries_of(options.work), ignore_errors=True)
    seen, unseen = options.splits.split(",")
    source = Source(
        data=options.data,
        splits=(seen, unseen),
        calibrating=tuple(name for name in options.held_out.split(",") if name),
        limit=options.limit,
        draws=options.draws,
        foreign=options.foreign,
        not_coi=options.not_coi,
    )
    about = {
        "data": options.data.resolve().name,
        "dataset_hash": hashed,
        "splits": options.splits,
        "limit": options.limit,
    }
    results = Results(options.json, about)
    for part in source.parts([name for name in parts if name != SPEED]):
        typer.echo(f"{part.name} {'' if part.draw is None else part.draw} ...", err=True)
        contestants = Contestants(part, settings, asked)
        for method in methods:
            if method in fresh:
                contestants.forget(method)
            try:
                results.add(contestants.rows(method))
            except MissingProgramError as error:
                results.leave_out(method, str(error))
    if SPEED in parts:
        (closed,) = source.parts(["closed"])
        results.add(time_all(closed, settings))


if __name__ == "__main__":
    main()
