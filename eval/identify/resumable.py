"""Output that survives a kill: it grows beside its name, and a run can go on where it stopped.

In: lines, in order, and how many records they came from. Out: OUT and OUT.rejected.tsv, under
their names only when complete; until then OUT.partial, OUT.rejected.partial and
OUT.progress.json, which says how far both are good. A continued run cuts off what came later and
insists on the same settings and the same records so far. Guarded by tests/eval/test_resumable.py.
"""

import gzip
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from barcodemae.errors import DataError, SettingsError
from barcodemae.fasta import SequenceRecord
from barcodemae.files import write_json


SECONDS_BETWEEN_NOTES = 2.0
REJECTED_HEADER = "record\tid\treason\n"


class RecordDigest:
    """Fingerprint of the records so far, to tell whether a file is still the same."""

    def __init__(self) -> None:
        self.state = hashlib.blake2b(digest_size=16)

    def add(self, record: SequenceRecord) -> None:
        """Take note of one record."""
        text = f"{record.header}\n{record.sequence}\n"
        self.state.update(text.encode("utf-8", "surrogateescape"))

    def value(self) -> str:
        """In hex digits."""
        return self.state.hexdigest()


@dataclass
class Progress:
    """How far an output is good.

    Attributes:
        settings: What decides the output's content.
        records: Records done.
        digest: Of these records.
        rejected: How many of them were rejected.
        output_bytes: Size of the output then.
        rejected_bytes: Size of the list of rejected records then.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    digest: str = ""
    rejected: int = 0
    output_bytes: int = 0
    rejected_bytes: int = 0


class ResultSink(Protocol):
    """Takes results in order."""

    progress: Progress
    report: Path | None

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records."""

    def finish(self) -> None:
        """All records are done."""

    def close(self) -> None:
        """Let go of what is open, whether all records are done or not."""


def report_of(output: Path) -> Path:
    """Name the list of rejected records: out.tsv and out.tsv.gz both have out.rejected.tsv."""
    name = Path(output.name.removesuffix(".gz"))
    return output.with_name(f"{name.stem}.rejected.tsv")


class FileSink:
    """Results in files that appear when complete.

    Args:
        output: File wanted; `.gz` compresses it.
        header: First line of the output.
        settings: What decides the output's content.
        resume: Whether to go on with what an interrupted run left.

    Raises:
        SettingsError: The folder does not exist, or what is left was made with other settings.
    """

    def __init__(
        self, output: Path, header: str, settings: dict[str, Any], *, resume: bool
    ) -> None:
        if not output.parent.is_dir():
            raise SettingsError(f"{output}: the folder {output.parent} does not exist")
        self.output = output
        self.report: Path | None = report_of(output)
        endings = (".partial", ".rejected.partial", ".progress.json")
        *parts, self.note = (output.with_name(output.name + ending) for ending in endings)
        self.parts = tuple(parts)
        self.noted = time.monotonic()
        self.progress = self._read_note(settings) if resume else Progress(settings)
        is_fresh = self.progress.records == 0
        sizes = (self.progress.output_bytes, self.progress.rejected_bytes)
        self.streams = [
            open_at(path, 0 if is_fresh else size)
            for path, size in zip(self.parts, sizes, strict=True)
        ]
        if is_fresh:
            self.progress = Progress(settings)
            self._write(header, REJECTED_HEADER)

    def _read_note(self, settings: dict[str, Any]) -> Progress:
        if not self.note.is_file():
            return Progress(settings)
        progress = Progress(**json.loads(self.note.read_text()))
        changed = [name for name in settings if progress.settings.get(name) != settings[name]]
        if changed:
            raise SettingsError(
                f"{self.output}: what is left of an earlier run was made with another "
                f"{', '.join(changed)}; run without --resume"
            )
        return progress

    def _write(self, lines: str, rejected: str) -> None:
        for stream, text in zip(self.streams, (lines, rejected), strict=True):
            content = text.encode("utf-8", "surrogateescape")
            is_packed = stream is self.streams[0] and self.output.suffix == ".gz"
            if content:
                # One gzip member per piece: members join to a valid file, and can be cut off.
                stream.write(gzip.compress(content, mtime=0) if is_packed else content)

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records; note how far the files are good now and then."""
        self._write("".join(lines), "".join(rejected))
        self.progress.records += records
        self.progress.rejected += len(rejected)
        self.progress.digest = digest
        if time.monotonic() - self.noted >= SECONDS_BETWEEN_NOTES:
            self.take_note()

    def take_note(self) -> None:
        """Write down how far the files are good."""
        self._flush()
        self.progress.output_bytes, self.progress.rejected_bytes = (
            stream.tell() for stream in self.streams
        )
        write_json(self.note, asdict(self.progress))
        self.noted = time.monotonic()

    def _flush(self) -> None:
        for stream in self.streams:
            stream.flush()
            os.fsync(stream.fileno())

    def close(self) -> None:
        """Close the files; what an unfinished run wrote stays for another to go on with."""
        for stream in self.streams:
            stream.close()

    def finish(self) -> None:
        """Give the files their names; a list without rejected records is not kept."""
        self._flush()
        self.close()
        report = report_of(self.output)
        report.unlink(missing_ok=True)
        if self.progress.rejected:
            self.parts[1].replace(report)
        self.parts[1].unlink(missing_ok=True)
        self.parts[0].replace(self.output)
        self.note.unlink(missing_ok=True)


def open_at(path: Path, size: int) -> BinaryIO:
    """Open a file for writing behind its first `size` bytes; the rest is cut off.

    Raises:
        DataError: The file is shorter.
    """
    stream = path.open("r+b" if size else "wb")
    stream.seek(0, os.SEEK_END)
    if stream.tell() < size:
        stream.close()
        raise DataError(path, "is shorter than an earlier run left it; run without --resume")
    stream.truncate(size)
    stream.seek(size)
    return stream


class StandardSink:
    """Results on stdout, rejected records on stderr.

    Args:
        header: First line of the output.
    """

    def __init__(self, header: str) -> None:
        self.progress = Progress()
        self.report: Path | None = None
        self._write(sys.stdout, header)

    def _write(self, stream: Any, text: str) -> None:
        stream.flush()
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
        stream.flush()

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records."""
        self._write(sys.stdout, "".join(lines))
        for line in rejected:
            self._write(sys.stderr, f"barcodemae: not identified: record {line}")
        self.progress.records += records
        self.progress.rejected += len(rejected)

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing was opened here."""
