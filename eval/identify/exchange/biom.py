"""BIOM 1.0: a table of records by samples in reads, with the taxonomy as metadata, as JSON.

In: one line per identification. Out: the text of the file, piece by piece, written when all records
are done. `biom convert --to-hdf5` of the biom-format package makes BIOM 2.1 of it. The sample is
what `;sample=` in an id says, the number of reads what `;size=` says. Ids must be unique in BIOM: a
repeated one is written with `;repeat=2`, and so on.
Guarded by tests/eval/identify/exchange/test_biom.py.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from barcodemae import __version__
from barcodemae.eval.identify.findings import Identification
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.summary import SAMPLE, SIZE
from barcodemae.output.cells import json_line


ONLY_SAMPLE = "sample"  # of records whose ids name none


def to_biom_line(found: Identification) -> str:
    """Format what the table needs of one record as one line of JSON."""
    assigned = [entry for entry in found.assigned() if entry[0] in LADDER]
    size, sample = SIZE.search(found.id), SAMPLE.search(found.id)
    confidence = assigned[-1][2] if assigned else 0.0
    metadata = {
        "taxonomy": [f"{rank[0]}__{name}" for rank, name, _ in assigned] or ["Unassigned"],
        "confidence": f"{confidence:.4f}",
        "new_species_probability": f"{found.novelty['species']:.4f}",
        "nearest_reference": found.nearest,
        "flags": ",".join(found.flags),
    }
    return json_line(
        {
            "id": found.id,
            "sample": sample[1] if sample else ONLY_SAMPLE,
            "reads": int(size[1]) if size else 1,
            "metadata": metadata,
        }
    )


def biom_document(read: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Turn lines into a BIOM file.

    Args:
        read: Function that begins to read the lines anew; called three times, so that memory does
            not grow with the metadata.

    Yields:
        Pieces of the file's text.
    """
    samples: dict[str, int] = {}
    number = 0
    for line in read():
        samples.setdefault(json.loads(line)["sample"], len(samples))
        number += 1
    head = {
        "id": None,
        "format": "Biological Observation Matrix 1.0.0",
        "format_url": "http://biom-format.org",
        "type": "OTU table",
        "generated_by": f"barcodemae {__version__}",
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "matrix_type": "sparse",
        "matrix_element_type": "int",
        "shape": [number, len(samples)],
        "columns": [{"id": name, "metadata": None} for name in samples],
    }
    yield json.dumps(head)[:-1]
    yield ', "rows": ['
    seen: Counter[str] = Counter()
    for row, line in enumerate(read()):
        entry = json.loads(line)
        seen[entry["id"]] += 1
        times = seen[entry["id"]]
        name = entry["id"] if times == 1 else f"{entry['id']};repeat={times}"
        yield (",\n" if row else "\n") + json.dumps({"id": name, "metadata": entry["metadata"]})
    yield '], "data": ['
    for row, line in enumerate(read()):
        entry = json.loads(line)
        cell = [row, samples[entry["sample"]], entry["reads"]]
        yield (",\n" if row else "\n") + json.dumps(cell)
    yield "]}\n"
