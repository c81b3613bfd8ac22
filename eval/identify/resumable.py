"""Resumable output: a run that was killed can continue where its last saved progress ends.

In: result lines in the order of the records, and the number of records they came from. Out: OUT and
OUT.rejected.tsv, which get these names only when they are complete. Until then the run writes
OUT.partial, OUT.rejected.partial and OUT.progress.json, which says up to which byte both are valid.
A resumed run truncates both there, and insists on the same settings and the same records so far.
Files of these names that no run of ours left are never written to. A lock is held from the first
byte to the last. Devices, pipes and stdout are written through. Guarded by
tests/eval/identify/test_resumable.py.
"""

import gzip
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from barcodemae.errors import BarcodeMAEError, DataError, SettingsError, WorkerError
from barcodemae.eval.identify.progress import Progress
from barcodemae.files import behind_links, whole_file, write_json
from barcodemae.output.lock import Lock
from barcodemae.output.places import check_file
from barcodemae.output.rejected import HEADER, check_list, clear_list, rejected_path_of


SECONDS_BETWEEN_SAVES = 2.0  # of the progress file
# Turns a function that reads the lines anew into the pieces of a file.
Document = Callable[[Callable[[], Iterator[str]]], Iterator[str]]
GO_ON = "the same command with --resume goes on after record {records}"


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

    def stop(self, error: BaseException) -> None:
        """Leave the output unfinished; what stays on disk is noted in the error."""

    def close(self) -> None:
        """Close what is open, whether all records are done or not."""


@contextmanager
def finishing(sink: ResultSink) -> Iterator[None]:
    """Finish a sink when the block ends, leave it unfinished at an error, close it in any case."""
    try:
        yield
        sink.finish()
    except BaseException as error:
        sink.stop(error)
        raise
    finally:
        sink.close()


class FileSink:
    """Writes results to files that get their names only when they are complete.

    Args:
        output: File to write; the ending `.gz` compresses it. What a link leads to is written.
        header: First line of the output, line end included.
        settings: Settings that determine the output's content.
        resume: Whether to continue what an interrupted run left.
        document: Function that turns all lines into the file; None if they are the file.

    Raises:
        SettingsError: The file cannot be written there, another run is writing it, its list of
            rejected records is not ours, or the interrupted run had other settings.
        DataError: A file of the interrupted run is damaged, or is none of ours.
    """

    def __init__(
        self,
        output: Path,
        header: str,
        settings: dict[str, Any],
        *,
        resume: bool,
        document: Document | None = None,
    ) -> None:
        check_file(output)
        self.document = document
        self.output = behind_links(output)
        self.rejected_path: Path | None = rejected_path_of(self.output)
        endings = (".partial", ".rejected.partial", ".progress.json")
        *partial, self.progress_path = (
            self.output.with_name(self.output.name + end) for end in endings
        )
        self.partial_paths = tuple(partial)
        self.saved_at = time.monotonic()
        self.is_resumed = False
        self.streams: list[BinaryIO] = []
        check_list(self.rejected_path)
        self.locks = [Lock(self.output)]
        try:
            self.locks.append(Lock(self.rejected_path))
            self._open(header, settings, resume=resume)
        except BaseException:
            self.close()
            raise

    def _open(self, header: str, settings: dict[str, Any], *, resume: bool) -> None:
        """Open the files where an interrupted run left them, or afresh."""
        self.progress = self._earlier_progress()
        self.is_resumed = resume and self.progress.records > 0
        if self.is_resumed:
            self._check_settings(settings)
            sizes = (self.progress.output_bytes, self.progress.rejected_bytes)
            for path, size in zip(self.partial_paths, sizes, strict=True):
                self.streams.append(open_at(path, size))
            return
        self.progress = Progress(settings=settings)
        write_json(self.progress_path, asdict(self.progress))  # what follows is ours from now on
        self.streams += [open_at(path, 0) for path in self.partial_paths]
        self._write(header, HEADER)

    def _earlier_progress(self) -> Progress:
        """Read what an interrupted run left, if there is anything.

        Raises:
            DataError: It is damaged, or there are such files that no run of ours left.
        """
        if self.progress_path.exists():
            return Progress.read(self.progress_path)
        for path in self.partial_paths:
            if path.exists():
                raise DataError(path, "is in the way and was not left by a run of ours; move it")
        return Progress()

    def _check_settings(self, settings: dict[str, Any]) -> None:
        """Refuse settings that are not those of the interrupted run."""
        before = self.progress.settings
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise SettingsError(
                f"{self.output}: the interrupted run was started with another "
                f"{', '.join(changed)}; run without --resume to start afresh"
            )

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

    def stop(self, error: BaseException) -> None:
        """Keep what can be continued, or remove it, and note in the error which of both.

        A fault of the input or of the settings would come again, so a run that such a fault ends
        leaves nothing behind. An interrupted one, or one that the machine ended, can go on.
        """
        is_fault = isinstance(error, BarcodeMAEError) and not isinstance(error, WorkerError)
        if self.is_resumed and is_fault:
            return
        if self.progress.records == 0 or is_fault:
            self._remove_parts()
            return
        with suppress(OSError):  # the disk is full: the progress saved before still holds
            self.save_progress()
        error.add_note(GO_ON.format(records=self.progress.records))

    def _remove_parts(self) -> None:
        for path in (*self.partial_paths, self.progress_path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files and give the output free; a second call does nothing."""
        for stream in self.streams:
            with suppress(OSError):  # what a full disk did not take is written here once more
                stream.close()
        while self.locks:
            self.locks.pop().release()

    def finish(self) -> None:
        """Give the files their final names; an empty list of rejected records is deleted."""
        self._flush()
        if self.document is not None:  # before anything is closed: if it fails, the run can go on
            self._write_document(self.document)
        for stream in self.streams:
            stream.close()
        rejected_path = rejected_path_of(self.output)
        clear_list(rejected_path)
        if self.progress.rejected:
            self.partial_paths[1].replace(rejected_path)
        if self.document is None:
            self.partial_paths[0].replace(self.output)
        self._remove_parts()
        self.close()

    def _write_document(self, document: Document) -> None:
        """Write the file that the lines make up; until it is there, the lines stay."""
        is_packed = self.output.suffix == ".gz"

        def lines() -> Iterator[str]:
            opened: Any = gzip.open if is_packed else open
            with opened(self.partial_paths[0], "rb") as stream:
                for line in stream:
                    yield line.decode("utf-8", "surrogateescape")

        with whole_file(self.output) as path, path.open("wb") as stream:
            for piece in document(lines):
                content = piece.encode("utf-8", "surrogateescape")
                stream.write(gzip.compress(content, mtime=0) if is_packed else content)


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


class StreamSink:
    """Writes results to stdout, a pipe or a device, and rejected records to stderr.

    Args:
        header: First line of the output, line end included.
        path: Pipe or device; None for stdout.
    """

    def __init__(self, header: str, path: Path | None = None) -> None:
        self.progress = Progress()
        self.rejected_path: Path | None = None
        # Appended, because /dev/stdout may be a file that other programs have written to.
        self.stream = None if path is None else path.open("ab", buffering=0)
        self._write(header)

    def _write(self, text: str) -> None:
        """Write text whose undecodable bytes came in as surrogate escapes."""
        content = text.encode("utf-8", "surrogateescape")
        if self.stream is not None:
            self.stream.write(content)
        else:
            write_bytes(sys.stdout, content)

    def append(self, lines: list[str], rejected: list[str], records: int, digest: str) -> None:
        """Add the results of some records."""
        self._write("".join(lines))
        for line in rejected:
            text = f"barcodemae: not identified: record {line}"
            write_bytes(sys.stderr, text.encode("utf-8", "surrogateescape"))
        self.progress.records += records
        self.progress.rejected += len(rejected)

    def finish(self) -> None:
        """Do nothing: every line is already out."""

    def stop(self, error: BaseException) -> None:
        """Do nothing: what is out is out."""

    def close(self) -> None:
        """Close a pipe or a device; the standard streams stay open."""
        if self.stream is not None:
            self.stream.close()


def write_bytes(stream: Any, content: bytes) -> None:
    """Write bytes to a standard stream, after the text that was written before."""
    stream.flush()
    stream.buffer.write(content)
    stream.flush()
