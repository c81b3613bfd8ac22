"""Resumable output: a run that was killed can continue where its last saved progress ends.

In: result lines in the order of the records, and the number of records they came from. Out: OUT and
OUT.rejected.tsv, which get these names only when they are complete. Until then the run writes
OUT.partial, OUT.rejected.partial and OUT.progress.json, which says up to which byte both are valid.
A resumed run truncates both there, and insists on the same settings and the same records so far.
Guarded by tests/eval/identify/test_resumable.py.
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


SECONDS_BETWEEN_SAVES = 2.0  # of the progress file
REJECTED_HEADER = "record\tid\treason\n"


class RecordDigest:
    """Running hash of the records read so far; a resumed run compares it with the saved one."""

    def __init__(self) -> None:
        self.state = hashlib.blake2b(digest_size=16)

    def add(self, record: SequenceRecord) -> None:
        """Add one record to the hash."""
        text = f"{record.header}\n{record.sequence}\n"
        self.state.update(text.encode("utf-8", "surrogateescape"))

    def value(self) -> str:
        """Return the hash as hex digits."""
        return self.state.hexdigest()


@dataclass
class Progress:
    """How far a run has got.

    Attributes:
        settings: Settings that determine the output's content.
        records: Number of finished records.
        digest: Hash of these records, see `RecordDigest`.
        rejected: Number of rejected records among them.
        output_bytes: Size of the output after these records.
        rejected_bytes: Size of the list of rejected records after these records.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    digest: str = ""
    rejected: int = 0
    output_bytes: int = 0
    rejected_bytes: int = 0


class ResultSink(Protocol):
    """Destination of results, which arrive in the order of the records.

    Attributes:
        progress: How far the run has got.
        rejected_path: File that lists the rejected records, None if there is no such file.
    """

    progress: Progress
    rejected_path: Path | None

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records.

        Args:
            lines: Lines of the output.
            rejected: Lines of the list of rejected records.
            records: Number of records that gave these lines.
            digest: Hash of all records up to the last of these, see `RecordDigest`.
        """

    def finish(self) -> None:
        """Complete the output: all records are done."""

    def close(self) -> None:
        """Close what is open, whether all records are done or not."""


def rejected_path_of(output: Path) -> Path:
    """Return the path of the list of rejected records: out.rejected.tsv for out.tsv[.gz]."""
    name = Path(output.name.removesuffix(".gz"))
    return output.with_name(f"{name.stem}.rejected.tsv")


class FileSink:
    """Writes results to files that get their names only when they are complete.

    Args:
        output: File to write; the ending `.gz` compresses it.
        header: First line of the output, line end included.
        settings: Settings that determine the output's content.
        resume: Whether to continue what an interrupted run left.

    Raises:
        SettingsError: The folder does not exist, or the interrupted run had other settings.
        DataError: A file is shorter than the interrupted run had saved it.
    """

    def __init__(
        self, output: Path, header: str, settings: dict[str, Any], *, resume: bool
    ) -> None:
        if not output.parent.is_dir():
            raise SettingsError(f"{output}: the folder {output.parent} does not exist")
        self.output = output
        self.rejected_path: Path | None = rejected_path_of(output)
        endings = (".partial", ".rejected.partial", ".progress.json")
        *partial, self.progress_path = (output.with_name(output.name + end) for end in endings)
        self.partial_paths = tuple(partial)
        self.saved_at = time.monotonic()
        self.progress = self._read_progress(settings) if resume else Progress(settings)
        is_fresh = self.progress.records == 0
        sizes = (self.progress.output_bytes, self.progress.rejected_bytes)
        self.streams = [
            open_at(path, 0 if is_fresh else size)
            for path, size in zip(self.partial_paths, sizes, strict=True)
        ]
        if is_fresh:
            self.progress = Progress(settings)
            self._write(header, REJECTED_HEADER)

    def _read_progress(self, settings: dict[str, Any]) -> Progress:
        """Read the progress of an interrupted run; start afresh if there is none."""
        if not self.progress_path.is_file():
            return Progress(settings)
        progress = Progress(**json.loads(self.progress_path.read_text()))
        changed = [name for name in settings if progress.settings.get(name) != settings[name]]
        if changed:
            raise SettingsError(
                f"{self.output}: the interrupted run was started with another "
                f"{', '.join(changed)}; run without --resume to start afresh"
            )
        return progress

    def _write(self, lines: str, rejected: str) -> None:
        """Append text to the output and to the list of rejected records."""
        for stream, text in zip(self.streams, (lines, rejected), strict=True):
            content = text.encode("utf-8", "surrogateescape")
            is_packed = stream is self.streams[0] and self.output.suffix == ".gz"
            if content:
                # One gzip member per call: members join to a valid file that can be truncated.
                stream.write(gzip.compress(content, mtime=0) if is_packed else content)

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records; save the progress every few seconds."""
        self._write("".join(lines), "".join(rejected))
        self.progress.records += records
        self.progress.rejected += len(rejected)
        self.progress.digest = digest
        if time.monotonic() - self.saved_at >= SECONDS_BETWEEN_SAVES:
            self.save_progress()

    def save_progress(self) -> None:
        """Force the files to the disk, then save up to which byte they are valid."""
        self._flush()
        self.progress.output_bytes, self.progress.rejected_bytes = (
            stream.tell() for stream in self.streams
        )
        write_json(self.progress_path, asdict(self.progress))
        self.saved_at = time.monotonic()

    def _flush(self) -> None:
        for stream in self.streams:
            stream.flush()
            os.fsync(stream.fileno())

    def close(self) -> None:
        """Close the files; those of an unfinished run stay, so that it can be resumed."""
        for stream in self.streams:
            stream.close()

    def finish(self) -> None:
        """Give the files their final names; an empty list of rejected records is deleted."""
        self._flush()
        self.close()
        rejected_path = rejected_path_of(self.output)
        rejected_path.unlink(missing_ok=True)
        if self.progress.rejected:
            self.partial_paths[1].replace(rejected_path)
        self.partial_paths[1].unlink(missing_ok=True)
        self.partial_paths[0].replace(self.output)
        self.progress_path.unlink(missing_ok=True)


def open_at(path: Path, size: int) -> BinaryIO:
    """Open a file for writing after its first `size` bytes, and truncate the rest.

    Raises:
        DataError: The file is shorter than that.
    """
    stream = path.open("r+b" if size else "wb")
    stream.seek(0, os.SEEK_END)
    if stream.tell() < size:
        stream.close()
        raise DataError(
            path,
            "is shorter than the interrupted run left it; run without --resume to start afresh",
        )
    stream.truncate(size)
    stream.seek(size)
    return stream


class StandardSink:
    """Writes results to stdout and rejected records to stderr.

    Args:
        header: First line of the output, line end included.
    """

    def __init__(self, header: str) -> None:
        self.progress = Progress()
        self.rejected_path: Path | None = None
        self._write(sys.stdout, header)

    def _write(self, stream: Any, text: str) -> None:
        """Write text whose undecodable bytes came in as surrogate escapes."""
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
        """Do nothing: every line is already out."""

    def close(self) -> None:
        """Do nothing: the standard streams stay open."""
