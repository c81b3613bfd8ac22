"""Headers of sequences in every convention of the field: the name of the record and its labels.

    ID;tax=p:Arthropoda,c:Insecta,g:Aedes,s:Aedes_aegypti;bin=BOLD:AAA1234;split=train;    SINTAX
    ID|COI-5P|Mexico|Animalia,Arthropoda,Insecta,Diptera,Culicidae,None,Aedes,...          BOLD 5
    ID|Aedes aegypti|COI-5P|BOLD:AAA1234                                                   BOLD 3, 4
    Aedes_aegypti|MT1539|SH12273.10FU|refs|k__Animalia;p__Arthropoda;...                   UNITE
    ID.1.7041.7724###root_1;Eukaryota_2759;Arthropoda_6656;...                             MIDORI2
    ID <blank> Root;Eukaryota;Metazoa;Arthropoda;...   RDP, CO1Classifier, CRABS, PROTAX
    Animalia;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti;                     DADA2
    ID;Root;Animalia;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti              IDTAXA
    ID order_name=Diptera; species_name=Aedes aegypti; taxid=7159;                         obitools
    gi|1234|gb|JF502242.1| Aedes aegypti cytochrome c oxidase subunit I gene               NCBI
    ENA|JF502242|JF502242.1 Aedes aegypti mitochondrial partial COI gene                   ENA

In: a header without its `>`. Out: name, labels and convention; a marker is among the labels where
the header names one. Guarded by tests/training/data/sources/test_headers.py.
"""

import json
import re
from collections.abc import Callable
from typing import NamedTuple

from barcodemae.conventions.taxa import looks_binomial, names_of_organism, tidy_taxon
from barcodemae.dataset import RANKS
from barcodemae.training.data.sources.columns import SPLIT_ALIASES
from barcodemae.training.data.sources.lineages import (
    Labels,
    has_rank_letters,
    is_positional,
    lineage_labels,
    positional_labels,
    read_lineage,
)
from barcodemae.training.data.sources.markers import marker_in_text, marker_of_field


_BIN = re.compile(r"BOLD:[A-Z]{3}\d{4,}")
_ACCESSION = re.compile(r"(?:[A-Z]{1,2}_?|[A-Z]{3,6})\d{5,10}(?:\.\d+)*(?::\S+)?")
_PROCESS_ID = re.compile(r"[A-Z]{2,7}\d{1,6}-\d{2}")
_PREFIXES = re.compile(r"^(?:(?:UNVERIFIED|PREDICTED|TPA\w*|MAG)(?:_\w+)?: ?)+")
# Collections that name themselves before the accession: `gi|1|gb|AB1.1|`, `ENA|AB1|AB1.1`.
_COLLECTIONS = ("gi", "gb", "ref", "emb", "dbj", "tpg", "tpe", "tpd", "lcl", "ENA")
_OBITOOLS4_TAXON = re.compile(r"\[(?P<name>[^\]]+)\]@(?P<rank>\w+)")
_OBITOOLS_FIELD = re.compile(r"(\w+) ?= ?([^;]*);")
NameAndLabels = tuple[str, Labels]


class Header(NamedTuple):
    """What a header says.

    Attributes:
        name: Name of the record; empty if the header has none.
        labels: Rank, `dna_bin`, `split` or `marker` -> value.
        convention: What the header was read as; empty if it follows none.
    """

    name: str
    labels: Labels
    convention: str


def read_annotations(header: str) -> NameAndLabels | None:
    """Read a header with `;key=value` annotations (SINTAX's `tax`, and `bin` and `split`)."""
    name, *fields = header.rstrip(";").split(";")
    pairs = dict(field.strip().partition("=")[::2] for field in fields)
    if not pairs.keys() & {"tax", "bin", "split"}:
        return None
    lineage = pairs.get("tax", "").split(",")
    labels = lineage_labels(lineage, ":")
    # coidb has the BIN at a rank of its own.
    bins = [part.strip()[2:] for part in lineage if part.strip().startswith("t:BOLD:")]
    if found := pairs.get("bin") or next(iter(bins), ""):
        labels["dna_bin"] = found
    if pairs.get("split"):
        labels["split"] = SPLIT_ALIASES.get(pairs["split"], pairs["split"])
    if pairs.get("marker"):
        labels["marker"] = marker_of_field(pairs["marker"]) or pairs["marker"]
    return name.strip(), labels


def read_pipes(header: str) -> NameAndLabels | None:
    """Read BOLD's header of the years before 2024: process id, then fields in any order.

    The taxon is the first field with the form of a species' name; a field of one word is a family
    or a subfamily (by its ending), or of a rank that cannot be known.
    """
    name, *fields = header.split("|")
    if not fields:
        return None
    labels: Labels = {}
    others = []
    for field in map(str.strip, fields):
        if _BIN.fullmatch(field):
            labels["dna_bin"] = field
        elif marker := marker_of_field(field):
            labels["marker"] = marker
        else:
            others.append(field)
    others.sort(key=lambda field: not looks_binomial(field))
    taxa = next(filter(None, map(names_of_organism, others)), {})
    return name.strip(), taxa | labels


def read_bold5(header: str) -> NameAndLabels | None:
    """Read BOLD's header since 2024, whose last field is a lineage with commas."""
    name, *fields = header.split("|")
    lineages = [field for field in fields if field.count(",") >= 6]
    if not lineages:
        return None
    labels = positional_labels(lineages[0].split(","))
    for field in map(str.strip, fields):
        if _BIN.fullmatch(field):
            labels["dna_bin"] = field
        elif marker := marker_of_field(field):
            labels["marker"] = marker
    return name.strip(), labels


def read_unite(header: str) -> NameAndLabels | None:
    """Read a header of UNITE: fields between `|`, of which one is a lineage with `k__`."""
    fields = header.split("|")
    lineages = [field for field in fields[1:] if has_rank_letters(field.split(";"))]
    if not lineages or "__" not in lineages[0]:
        return None
    accessions = [field for field in fields if _ACCESSION.fullmatch(field)]
    name = accessions[0] if accessions else fields[0]
    return name.strip(), lineage_labels(lineages[0].split(";"), "__")


def read_midori(header: str) -> NameAndLabels | None:
    """Read a header of MIDORI2: an id, `###`, and a lineage in which names end in their taxid."""
    name, mark, lineage = header.partition("###")
    return (name.strip(), positional_labels(lineage.split(";"))) if mark else None


def read_lineage_after_id(header: str) -> NameAndLabels | None:
    """Read a header of an id, a blank or tab, and a lineage."""
    name, *more = header.split(maxsplit=1)
    return (name, read_lineage(more[0])) if more and _is_lineage(more[0]) else None


def read_bare_lineage(header: str) -> NameAndLabels | None:
    """Read a header of DADA2, which is a lineage and nothing else, or of IDTAXA, `ID;Root;...`."""
    if ";" not in header:
        return None
    if _is_lineage(header):
        return "", read_lineage(header)
    name, _, lineage = header.partition(";")
    is_after_id = lineage.split(";")[0].strip().lower() == "root" and _is_lineage(lineage)
    return (name.strip(), read_lineage(lineage)) if is_after_id else None


def _is_lineage(text: str) -> bool:
    if "=" in text:
        return False
    for separator in (";", ","):
        parts = text.split(separator)
        if len(parts) > 1 and (has_rank_letters(parts) or is_positional(parts)):
            return True
    return has_rank_letters([text]) and "__" in text


def read_obitools(header: str) -> NameAndLabels | None:
    """Read the annotations of obitools and ecotag, as `key=value;` or as JSON."""
    name, *more = header.split(maxsplit=1)
    text = more[0] if more else ""
    fields = dict(_OBITOOLS_FIELD.findall(text if text.endswith(";") else f"{text};"))
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except ValueError:
            return None
    names = {
        key.removesuffix("_name"): value
        for key, value in fields.items()
        if key.endswith("_name") and isinstance(value, str)
    }
    if taxon := _OBITOOLS4_TAXON.search(str(fields.get("taxid", ""))):
        names.setdefault(taxon["rank"], taxon["name"])
    rank = fields.get("rank") or fields.get("obitag_rank") or "species"
    names.setdefault(str(rank), names.pop("scientific", ""))
    if not any(names.values()):
        return None
    found = {rank: tidy_taxon(rank, names[rank]) for rank in RANKS if rank in names}
    labels = {rank: label for rank, label in found.items() if label}
    if "species" in labels:
        labels = names_of_organism(labels["species"]) | labels
    return name, labels


def read_ncbi(header: str) -> NameAndLabels | None:
    """Read a header of NCBI, or one of an accession or BOLD's process id and a species' name."""
    name, *more = header.split(maxsplit=1)
    text = more[0] if more else ""
    parts = [part for part in name.split("|") if part]
    accession = next((part for part in parts if _ACCESSION.fullmatch(part)), "")
    is_collection = len(parts) > 1 and parts[0] in _COLLECTIONS
    is_alone = len(parts) == 1 and (accession or _PROCESS_ID.fullmatch(name))
    if not is_collection and not is_alone:
        return None
    name = parts[-1] if is_collection else name
    words = _PREFIXES.sub("", text).split()
    labels = names_of_organism(" ".join(words[:3]))
    if marker := marker_in_text(text):
        labels["marker"] = marker
    return (accession or name, labels) if labels or len(parts) > 1 else None


CONVENTIONS: dict[str, Callable[[str], NameAndLabels | None]] = {
    "SINTAX annotations": read_annotations,
    "MIDORI2's ### header": read_midori,
    "BOLD 5's | header": read_bold5,
    "UNITE's | header": read_unite,
    "a lineage after the id": read_lineage_after_id,
    "a lineage as header": read_bare_lineage,
    "obitools' annotations": read_obitools,
    "NCBI's description": read_ncbi,
    "BOLD's | header": read_pipes,
}


def read_header(header: str) -> Header:
    """Read a header by the first convention that it follows.

    Args:
        header: The whole header line, without `>` or `@`.
    """
    if not header.strip():
        return Header("", {}, "")
    for convention, read in CONVENTIONS.items():
        if (found := read(header)) is not None:
            name, labels = found
            if "marker" not in labels and (marker := marker_in_text(header)):
                labels["marker"] = marker
            return Header(name, labels, convention)
    name = header.split(maxsplit=1)[0]
    marker = marker_in_text(header)
    return Header(name, {"marker": marker} if marker else {}, "")
