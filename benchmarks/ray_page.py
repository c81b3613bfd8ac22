"""Writer of the measured parts of docs/ray.md: python benchmarks/ray_page.py [--check].

In: results files of `ray_scale.py`, `ray_data.py`, `prepare.py` and `identify_scale.py`. Out: the
page, as `identify_page.py` writes its pages. Guarded by tests/docs/test_ray_page.py.
"""

from typing import Annotated, Any

import typer
from identify_page import Commands, Content, Kinds, by_size, format_number, table, write_pages
from results_page import ROOT


PAGES = [ROOT / "docs" / "ray.md"]
NO_VALUE = "-"


def cluster(content: dict[str, Any]) -> str:
    """Format the runs of a command, one row each."""
    rows = [
        [
            run["run"],
            format_number(run["seconds"], 0),
            format_number(run["start_up_seconds"], 0),
            format_number(run["rate"], 0),
            str(run.get("kept_shards", NO_VALUE)),
            "yes" if run["same_bytes"] else "NO",
        ]
        for run in content["runs"]
    ]
    header = [
        "run", "seconds", "of them start-up", "reads per second", "shards of the killed run",
        "same bytes",
    ]  # fmt: skip
    return (
        f"`{content['ran']}`, {content['records']:,} simulated reads: `{content['command']}`.\n\n"
        f"{table(header, rows)}"
    )


def driver(content: dict[str, Any]) -> str:
    """Format the parts of the driver's work, one row each."""
    parts = {
        "cut": "cut text into blocks",
        "hash": "hash a block",
        "pickle": "pickle a block",
        "keep": "keep a result on the disk",
        "read_back": "read a result again",
        "parse": "parse a block (workers do)",
    }
    rows = [[label, format_number(content["driver"][name], 0)] for name, label in parts.items()]
    return table(["part", "reads per second"], rows)


def planned(content: dict[str, Any]) -> str:
    """Format the plan for many nodes, which is calculated."""
    plan = content["plan"]
    labels = {
        "worker_rate": ("reads per second of one worker (measured)", 0),
        "workers_rate": ("of all workers", 0),
        "driver_rate": ("of the driver", 0),
        "busy_workers": ("workers that one driver keeps busy", 0),
        "hours": ("hours with one driver", 1),
        "hours_of_one_core": ("hours of one core", 1),
    }
    cores = plan["nodes"] * plan["cores_per_node"]
    rows = [
        [f"{plan['reads']:,} reads on {plan['nodes']} nodes, {cores:,} cores", ""],
        *([label, format_number(plan[name], digits)] for name, (label, digits) in labels.items()),
    ]
    return table(["calculated", "value"], rows)


def ray_data(rows: Content) -> str:
    """Format `embed --ray` beside Ray Data, one row each."""
    found = [
        [
            row["program"],
            format_number(row["seconds"], 0),
            format_number(row["seconds_of_the_second_run"], 0),
            "yes" if row["in_input_order"] else "no",
            "yes" if row["equal_vectors"] else "NO",
        ]
        for row in rows
    ]
    first = rows[0]
    header = ["program", "seconds", "seconds after a kill half-way", "input order", "same vectors"]
    return (
        f"{first['records']:,} simulated reads, `--model {first['model']}`, two nodes of one core: "
        f"`{first['command']}`.\n\n{table(header, found)}"
    )


def large(rows: Content) -> str:
    """Format libraries of millions, one row per size and engine."""
    columns = {
        "disk_gib": ("GiB on the disk", 1),
        "written_per_second": ("references written per second", 0),
        "start_up_seconds": ("start-up (s)", 1),
        "queries_per_second": ("queries per second", 1),
        "peak_memory_gib": ("peak memory, mapped pages included (GiB)", 1),
        "same_nearest": ("nearest as by the first engine (%)", 1),
    }
    measured = {key: words for key, words in columns.items() if any(key in row for row in rows)}
    return by_size(rows, measured)


def prepared(content: dict[str, Any]) -> str:
    """Format runs of `prepare`, one row per number of rows, and what is calculated of them.

    Below them stand those of a run that was killed and resumed, if there was one.
    """
    rows = [
        [
            f"{run['rows']:,}",
            format_number(run["cpu_s"], 0),
            format_number(1e6 * run["cpu_s"] / run["rows"], 0),
            format_number(run["peak_gib"], 2),
        ]
        for run in content["runs"]
    ]
    if far := content.get("calculated"):
        rows.append(
            [
                f"{far['rows']:,} (calculated)",
                format_number(far["cpu_s"], 0),
                NO_VALUE,
                format_number(far["peak_gib"], 1),
            ]
        )
    header = ["rows", "CPU seconds", "CPU seconds of a million rows", "peak memory (GiB)"]
    return table(header, rows) + (killed(content["killed"]) if "killed" in content else "")


def killed(content: dict[str, Any]) -> str:
    """Format a run of `prepare --resume` that was killed half-way and resumed, one row per part."""
    rows = [
        [
            run["run"],
            f"{run['segments']:,}",
            format_number(run["wall_s"], 0),
            format_number(run["cpu_s"], 0),
            format_number(run["peak_gib"], 2),
        ]
        for run in content["runs"]
    ]
    same = "the same bytes as" if content["same_bytes"] else "OTHER BYTES than"
    header = ["run", "segments on the disk", "seconds", "CPU seconds", "peak memory (GiB)"]
    return (
        f"\n`prepare --resume` of {content['rows']:,} rows in segments of "
        f"{content['rows_per_segment']:,}, killed half-way (SIGKILL); the resumed run gave {same} "
        f"the uninterrupted one.\n\n{table(header, rows)}"
    )


KINDS: Kinds = {
    "cluster": cluster,
    "driver": driver,
    "planned": planned,
    "prepared": prepared,
    "ray_data": ray_data,
    "large": large,
}
RAY_COMMAND = "python benchmarks/ray_scale.py --data DATA"
COMMANDS: Commands = {
    "cluster": RAY_COMMAND,
    "driver": RAY_COMMAND,
    "planned": RAY_COMMAND,
    "prepared": "python benchmarks/prepare.py --layout bold-targz --rows 125000 --rows 500000 "
    "--plan 20000000 --kill --out results/speed/prepare_bold.json",
    "ray_data": "python benchmarks/ray_data.py --data DATA",
    "large": "python benchmarks/identify_scale.py --data DATA --engines exact=2400000,int8",
}


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the page is up to date.")] = False,
) -> None:
    """Write the measured parts of the page, or check them."""
    write_pages(PAGES, KINDS, COMMANDS, check=check)


if __name__ == "__main__":
    typer.run(main)
