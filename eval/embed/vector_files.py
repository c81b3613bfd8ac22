"""Files of embeddings: Parquet, NumPy or TSV, each written whole or not at all.

In: ids and vectors, chunk by chunk. Out: a file that gets its name only when it is complete.

    .parquet   columns id (text) and embedding (fixed_size_list<float>)
    .npy       float32 matrix (N, D); the ids, one a line, beside it in NAME.ids.txt
    .tsv, -    id and D numbers, tab-separated; so on pipes and devices without such a name

The files of shards (`barcodemae.output.shards`) are joined to the file of one run, byte for byte.
Control characters in ids are written as text but for Parquet, see `barcodemae.output.cells`.

Guarded by tests/eval/embed/test_vector_files.py.

Shapes: N = vectors, D = embedding width.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae.errors import DataError, SettingsError
from barcodemae.files import is_written_through, whole_file
from barcodemae.output.cells import escape, row_of
from barcodemae.output.shards import ids_path, join_rows


SUFFIXES = (".parquet", ".npy", ".tsv")


class VectorWriter(Protocol):
    """Writer that takes embeddings chunk by chunk."""

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Append vectors (N, D) and their ids."""

    def close(self, *, complete: bool) -> None:
        """Finish the file; if it is not complete and will be deleted, only close it."""


class ParquetVectors:
    """Writer of a Parquet file with one row per vector, in constant memory.

    Args:
        path: File to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: Any = None

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Append vectors (N, D) and their ids."""
        width = vectors.shape[1]
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        embedding = pa.FixedSizeListArray.from_arrays(flat, width)
        table = pa.table({"id": pa.array(ids, pa.string()), "embedding": embedding})
        if self.writer is None:
            self.writer = pyarrow.parquet.ParquetWriter(self.path, table.schema)
        self.writer.write_table(table)

    def close(self, *, complete: bool) -> None:
        """Write the footer; of no vectors, as a shard may have, the width is unknown: 1."""
        if self.writer is None and complete:
            self.write([], np.empty((0, 1), np.float32))
        if self.writer is not None:
            self.writer.close()


class NumpyVectors:
    """Writer of a NumPy matrix; keeps it in memory, because the header states the row count.

    Args:
        path: File to write.
        ids_path: File for the ids.
    """

    def __init__(self, path: Path, ids_path: Path) -> None:
        self.path = path
        self.ids_path = ids_path
        self.ids: list[str] = []
        self.chunks: list[NDArray[np.float32]] = []

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Append vectors (N, D) and their ids."""
        self.ids += ids
        self.chunks.append(vectors)

    def close(self, *, complete: bool) -> None:
        """Write the matrix and the ids."""
        if not complete:
            return
        with self.path.open("wb") as stream:
            matrix = np.concatenate(self.chunks) if self.chunks else np.empty((0, 0), np.float32)
            np.save(stream, matrix, allow_pickle=False)
        lines = "".join(f"{escape(name)}\n" for name in self.ids)
        self.ids_path.write_text(lines, encoding="utf-8", errors="surrogateescape")


class TextVectors:
    """Writer of tab-separated text without header; nine digits restore every float32 exactly.

    Args:
        stream: Stream to write to.
        owns_stream: Whether to close the stream at the end.
    """

    def __init__(self, stream: TextIO, *, owns_stream: bool) -> None:
        self.stream = stream
        self.owns_stream = owns_stream

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Append vectors (N, D) and their ids."""
        for name, vector in zip(ids, vectors, strict=True):
            self.stream.write(row_of([name, *(f"{value:.9g}" for value in vector)]))

    def close(self, *, complete: bool) -> None:
        """Flush the stream, and close it if it is owned."""
        self.stream.flush()
        if self.owns_stream:
            self.stream.close()


def make_writer(path: Path, files: ExitStack) -> VectorWriter:
    """Return a writer of the format that the suffix of `path` names.

    Args:
        path: File to write.
        files: Stack for the opened files; they get their names when it ends without an error.
    """
    file = files.enter_context(whole_file(path))
    if is_written_through(path) and path.suffix not in SUFFIXES:
        return TextVectors(
            file.open("a", encoding="utf-8", errors="surrogateescape"), owns_stream=True
        )
    if path.suffix == ".parquet":
        return ParquetVectors(file)
    if path.suffix == ".npy":
        return NumpyVectors(file, files.enter_context(whole_file(ids_path(path))))
    stream = file.open("w", encoding="utf-8", errors="surrogateescape")
    return TextVectors(stream, owns_stream=True)


def check_output(output: str) -> None:
    """Check the name of an output before any time is spent.

    Raises:
        SettingsError: The suffix is unknown or the folder is missing.
    """
    path = Path(output)
    if output == "-" or is_written_through(path):
        return
    if path.suffix not in SUFFIXES:
        raise SettingsError(f"{output}: the suffix must be .parquet, .npy or .tsv (or `-`)")
    if not path.parent.is_dir():
        raise SettingsError(f"{output}: the folder {path.parent} does not exist")


@contextmanager
def open_vectors(output: str) -> Iterator[VectorWriter]:
    """Open a file for embeddings; it gets its name only if the block ends without an error.

    Args:
        output: File name ending in .parquet, .npy or .tsv, or `-` for TSV on stdout.

    Raises:
        SettingsError: The suffix is unknown or the folder is missing.
    """
    check_output(output)
    if output == "-":
        writer = TextVectors(sys.stdout, owns_stream=False)
        yield writer
        writer.close(complete=True)
        return
    with ExitStack() as files:
        file_writer = make_writer(Path(output), files)
        try:
            yield file_writer
        except BaseException:
            file_writer.close(complete=False)
            raise
        file_writer.close(complete=True)


def join_vectors(files: Sequence[Path], output: Path, header: str = "") -> None:
    """Join files of vectors to one, in constant memory.

    Args:
        files: Files of one format, in order; some may hold no vectors.
        output: File to write, of the same format.
        header: First line of the files; they have none.

    Raises:
        DataError: A file is of another format than the output.
    """
    for file in files:
        if file.suffix != output.suffix:
            raise DataError(
                file, f"cannot be merged to {output.name}: name a {file.suffix} with -o"
            )
    if output.suffix == ".parquet":
        join_parquet(files, output)
    elif output.suffix == ".npy":
        join_numpy(files, output)
        join_rows([ids_path(file) for file in files], ids_path(output), header)
    else:
        join_rows(files, output, header)


def join_parquet(files: Sequence[Path], output: Path) -> None:
    """Join Parquet files, row group by row group."""
    with whole_file(output) as part:
        writer = ParquetVectors(part)
        for file in files:
            with pyarrow.parquet.ParquetFile(file) as source:
                for group in range(source.num_row_groups if source.metadata.num_rows else 0):
                    rows = source.read_row_group(group)
                    vectors = rows["embedding"].combine_chunks().flatten().to_numpy()
                    writer.write(rows["id"].to_pylist(), vectors.reshape(rows.num_rows, -1))
        writer.close(complete=True)


def join_numpy(files: Sequence[Path], output: Path) -> None:
    """Join NumPy matrices, one after the other through memory maps."""
    matrices = [np.load(file, mmap_mode="r", allow_pickle=False) for file in files]
    filled = [matrix for matrix in matrices if len(matrix)]
    width = filled[0].shape[1] if filled else 0
    with whole_file(output) as part:
        if not filled:
            np.save(part, np.empty((0, 0), np.float32), allow_pickle=False)
            return
        joined = open_memmap(part, "w+", np.float32, (sum(map(len, filled)), width))
        done = 0
        for matrix in filled:
            joined[done : done + len(matrix)] = matrix
            done += len(matrix)
        joined.flush()
