"""How far a preparation has got: finished segments of its reading, which outlive the run.

    DIR.partial/progress.json       settings of the run, and the SHA-256 of each finished segment
    DIR.partial/000001.zip ...      the rows kept of a stretch of the sources, and all that the
                                    filter learnt from it, uncompressed

In: filtered rows with their position in the sources. Out: the same rows, also in a later run, which
restores its filter from the segments, goes on behind the last one and so writes the same data set,
byte for byte. A segment counts once `progress.json` names it. Segments that are damaged or of other
settings are refused, and a folder that no run of ours left is never written to. A lock is held
while the run lasts. Guarded by tests/training/data/test_progress.py, measured by
benchmarks/prepare.py.
"""

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from barcodemae.errors import BarcodeMAEError, DataError, SettingsError
from barcodemae.files import DISK_REFUSES, flush, whole_file, write_json
from barcodemae.model_files import hash_file
from barcodemae.output.lock import held
from barcodemae.training.data.dataset_record import record_versions
from barcodemae.training.data.duplicates import COMPARED_LABELS
from barcodemae.training.data.row_filter import Learnt, RowFilter
from barcodemae.training.data.sources.recognition import SIMULATE
from barcodemae.training.data.sources.source_batches import BATCH_SCHEMA
from barcodemae.unpacking import STANDARD_INPUT, shown_name, split_member


ROWS_PER_SEGMENT = 250_000  # rows read: at most so many are read again after a kill
ENDING = ".partial"
WRITTEN_BY = "barcodemae prepare"
FORMAT = 1  # of the segments; another one, and what determines their rows, cannot be gone on with
GO_ON = "the same command with --resume goes on after row {rows:,}"
_PROGRESS = "progress.json"
_SEGMENTS, _LEFTOVERS = "[0-9]*.zip", ".*.tmp.*"  # the second: what a killed run was writing
_ROWS, _NAMES, _DIGESTS, _NUMBERS, _FACTS = "rows", "names", "digests", "numbers", "facts.json"
_ROW_SCHEMA = BATCH_SCHEMA.set(
    BATCH_SCHEMA.get_field_index("dna_barcode"), pa.field("dna_barcode", pa.large_string())
)


class Position(NamedTuple):
    """How much of the sources is done.

    Attributes:
        source: Number of sources that are done.
        batches: Number of batches of the next one that are done.
    """

    source: int = 0
    batches: int = 0


def spooled(tables: Iterable[pa.Table], spool: Path) -> Iterator[pa.Table]:
    """Store rows in a file until all are known; return them, and remove the file behind them."""
    with spool.open("wb") as stream:
        _write_rows(stream, tables)

    def stored() -> Iterator[pa.Table]:
        with spool.open("rb") as stream:
            yield from _read_rows(stream)
        spool.unlink()

    return stored()


def _write_rows(stream: IO[bytes], tables: Iterable[pa.Table]) -> None:
    options = pyarrow.ipc.IpcWriteOptions(emit_dictionary_deltas=False)
    with pyarrow.ipc.new_stream(stream, _ROW_SCHEMA, options=options) as writer:
        for table in tables:
            writer.write_table(table.cast(_ROW_SCHEMA).unify_dictionaries())


def _read_rows(stream: IO[bytes]) -> Iterator[pa.Table]:
    with pyarrow.ipc.open_stream(stream) as reader:
        for batch in reader:
            yield pa.table(batch)


def settings_of(options: Mapping[str, Any], given: Sequence[str], read: Sequence[str]) -> Any:
    """Gather what determines the rows, by the names that a message about a difference gives.

    Args:
        options: Options of the preparation, as they are recorded.
        given: Names of the sources as the user gave them.
        read: The files, or the words, that these names stand for.

    Raises:
        SettingsError: A source is neither a file nor simulated.
    """
    versions = record_versions()
    taxonomy = options["source"]["taxonomy"]
    files = [*read, *([taxonomy] if taxonomy else [])]
    return {
        "format of the folder": FORMAT,
        "version of barcodemae": versions["written_by"],
        **{f"version of {name}": number for name, number in versions["versions"].items()},
        **_flat(options),
        "list of sources": list(given),
        **{f"file {name}": _state(name) for name in files if name != SIMULATE},
    }


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name options by their place in the record of the data set, such as `rules.min_length`."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        place = f"{prefix}{name}"
        flat |= _flat(value, f"{place}.") if isinstance(value, Mapping) else {place: value}
    return flat


def _state(name: str) -> list[int]:
    """Tell by which numbers a file is known to be the same: its size, and when it was changed."""
    path, _ = split_member(name)
    if name == STANDARD_INPUT or not path.is_file():
        raise SettingsError(f"--resume: {shown_name(name)} cannot be read again; name a file")
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


class Segments:
    """The finished segments of a preparation.

    Args:
        folder: Folder to keep them in; made when there is something to keep.
        settings: What determines the rows, see `settings_of`.

    Raises:
        SettingsError: The interrupted run had other settings.
        DataError: The folder is damaged, or is none of ours.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self._hashes: list[str] = []
        self._num_rows = 0  # read up to the end of the last segment
        self._position = Position()
        if (folder / _PROGRESS).exists():
            before, hashes = _read_progress(folder)
            present = takewhile(lambda path: path.is_file(), self._paths(len(hashes)))
            self._hashes = hashes[: len(list(present))]
            if self._hashes:
                self._check_settings(before)
        elif folder.exists() and not _is_unused(folder):
            raise DataError(folder, "is in the way and was not left by a run of ours; move it")
        self._is_resumed = bool(self._hashes)

    def _check_settings(self, before: Mapping[str, Any]) -> None:
        """Refuse settings that are not those of the interrupted run."""
        names = dict.fromkeys([*self._settings, *before])
        changed = [name for name in names if before.get(name) != self._settings.get(name)]
        if changed:
            raise SettingsError(
                f"{self._folder}: the interrupted run was started with another "
                f"{', '.join(changed)}; remove this folder to start afresh"
            )

    def restore(self, row_filter: RowFilter) -> Position:
        """Restore a new filter to what it was at the end of the last segment.

        Returns:
            How much of the sources is done.

        Raises:
            DataError: A segment is damaged.
        """
        for path, known in zip(self._paths(len(self._hashes)), self._hashes, strict=True):
            if hash_file(path).hex() != known:
                raise self._damaged(path)
            with zipfile.ZipFile(path) as archive:
                learnt, self._position = _read_learnt(archive)
            row_filter.restore(learnt)
        self._num_rows = row_filter.num_read
        return self._position

    def _paths(self, number: int) -> list[Path]:
        """Name the files of the first segments."""
        return [self._folder / f"{each:06}.zip" for each in range(1, number + 1)]

    def _damaged(self, path: Path) -> DataError:
        remedy = f"remove {self._folder} to start afresh"
        return DataError(path, f"is not as the interrupted run left it; {remedy}")

    def store(self, rows: Iterator[tuple[Position, pa.Table]], row_filter: RowFilter) -> None:
        """Store all rows that are still to come, a segment at a time.

        Args:
            rows: The rows that the filter keeps, each with the position behind them.
            row_filter: The filter that they come through.

        Raises:
            DataError: The disk refuses (full, read-only, no permission).
        """
        self._folder.mkdir(exist_ok=True)
        for path in self._folder.glob(_LEFTOVERS):
            path.unlink()
        self._save()
        for first in rows:
            self._write(chain([first], rows), row_filter)

    def _write(self, rows: Iterator[tuple[Position, pa.Table]], row_filter: RowFilter) -> None:
        """Write one segment; it counts when all of it is on the disk."""
        path = self._paths(len(self._hashes) + 1)[-1]
        with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:
            with archive.open(_ROWS, "w", force_zip64=True) as stream:
                _write_rows(stream, self._until_full(rows, row_filter))
            _write_learnt(archive, row_filter.learnt(), self._position)
        self._hashes.append(hash_file(path).hex())
        flush(self._folder)
        self._save()
        self._num_rows = row_filter.num_read

    def _until_full(
        self, rows: Iterator[tuple[Position, pa.Table]], row_filter: RowFilter
    ) -> Iterator[pa.Table]:
        enough = self._num_rows + ROWS_PER_SEGMENT
        for position, table in rows:
            self._position = position
            yield table
            if row_filter.num_read >= enough:
                return

    def _save(self) -> None:
        content = {"written_by": WRITTEN_BY, "settings": self._settings, "segments": self._hashes}
        write_json(self._folder / _PROGRESS, content)

    def rows(self) -> Iterator[pa.Table]:
        """Read the rows of all segments, a batch at a time.

        Raises:
            DataError: A segment has been damaged meanwhile.
        """
        for path in self._paths(len(self._hashes)):
            try:
                with zipfile.ZipFile(path) as archive, archive.open(_ROWS) as stream:
                    yield from _read_rows(stream)
            except (FileNotFoundError, zipfile.BadZipFile, pa.ArrowException) as error:
                raise self._damaged(path) from error

    def stop(self, error: BaseException) -> None:
        """Keep what can be continued, or remove it, and note in the error which of both.

        A fault of the sources or of the settings would come again, so a run that such a fault ends
        leaves nothing behind. An interrupted one, or one that the machine ended, can go on.
        """
        cause = error.__cause__
        is_full = isinstance(cause, OSError) and cause.errno in DISK_REFUSES
        is_fault = isinstance(error, BarcodeMAEError) and not is_full
        if self._is_resumed and is_fault:
            return
        if is_fault or not self._hashes:
            remove_segments(self._folder)
        else:
            error.add_note(GO_ON.format(rows=self._num_rows))


@contextmanager
def segments_kept(out: Path, settings: Mapping[str, Any]) -> Iterator[Segments]:
    """Give the finished segments of a data set; they are removed if the block ends without error.

    Args:
        out: Folder of the data set; the segments are kept in `OUT.partial`.
        settings: What determines the rows, see `settings_of`.

    Raises:
        SettingsError: Another run uses them, or the interrupted run had other settings.
        DataError: They are damaged, or none of ours.
    """
    folder = _folder_beside(out)
    with held(folder):
        segments = Segments(folder, settings)
        try:
            yield segments
        except BaseException as error:
            segments.stop(error)
            raise
        remove_segments(folder)


@contextmanager
def segments_outlived(out: Path) -> Iterator[None]:
    """Remove what a run that was to be resumed left, if the block makes the data set without it."""
    yield
    folder = _folder_beside(out)
    with suppress(DataError, SettingsError):  # none of ours, or in use
        _read_progress(folder)
        with held(folder):
            remove_segments(folder)


def _folder_beside(out: Path) -> Path:
    target = Path(os.path.realpath(out))
    return target.with_name(target.name + ENDING)


def _read_progress(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Read the settings of an interrupted run, and the hashes of its segments.

    Raises:
        DataError: The file is not one that a run of ours left, or is damaged.
    """
    path = folder / _PROGRESS
    try:
        content = json.loads(path.read_bytes())
        settings, hashes = content["settings"], content["segments"]
        is_valid = (
            content["written_by"] == WRITTEN_BY
            and isinstance(settings, dict)
            and isinstance(hashes, list)
            and all(isinstance(each, str) for each in hashes)
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        is_valid = False
    if not is_valid:
        raise DataError(
            path,
            "is damaged, or not the progress of an interrupted run; "
            f"remove or move {folder} to start anew",
        )
    return settings, hashes


def _is_unused(folder: Path) -> bool:
    """Whether a folder holds nothing, or only what a run that was killed at once was writing."""
    return folder.is_dir() and not set(folder.iterdir()) - set(folder.glob(_LEFTOVERS))


def _write_learnt(archive: zipfile.ZipFile, learnt: Learnt, position: Position) -> None:
    with archive.open(_NAMES, "w") as stream:
        table = pa.table({"processid": learnt.names})
        with pyarrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table.combine_chunks())
    archive.writestr(_DIGESTS, learnt.digests.tobytes())
    archive.writestr(_NUMBERS, learnt.numbers.tobytes())
    for name, text in learnt.lists.items():
        archive.writestr(f"{name}.tsv", text)
    facts = {"position": position, "counts": learnt.counts, "labels": learnt.labels}
    archive.writestr(_FACTS, json.dumps(facts | {"lists": list(learnt.lists)}))


def _read_learnt(archive: zipfile.ZipFile) -> tuple[Learnt, Position]:
    facts = json.loads(archive.read(_FACTS))
    with pyarrow.ipc.open_stream(archive.read(_NAMES)) as reader:
        names = reader.read_all()["processid"]
    digests = np.frombuffer(archive.read(_DIGESTS), np.uint64).reshape(-1, 2)
    numbers = np.frombuffer(archive.read(_NUMBERS), np.int32)
    learnt = Learnt(
        counts=facts["counts"],
        labels=facts["labels"],
        names=names,
        digests=digests,
        numbers=numbers.reshape(-1, len(COMPARED_LABELS) + 1),
        lists={name: archive.read(f"{name}.tsv") for name in facts["lists"]},
    )
    return learnt, Position(*facts["position"])


def remove_segments(folder: Path) -> None:
    """Remove all that runs of ours left in a folder, and the folder if nothing else is in it.

    The last segment goes first: if the process is killed meanwhile, a run can still go on.
    """
    segments = sorted(folder.glob(_SEGMENTS), reverse=True)
    for path in (*folder.glob(_LEFTOVERS), *segments, folder / _PROGRESS):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # there is none, or something else is in it
        folder.rmdir()
