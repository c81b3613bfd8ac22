"""The k-mer tokenizer: non-overlapping k-mers of a DNA barcode as data, with a frame as code.

    ACGTACGGTACAN  ->  ACGTAC GGTACA        (k = 6, trailing N stripped, remainder dropped)

Without a frame the saved `tokenizer.json` (`kmer_backend.py`) is complete, so saved folders open
with plain `AutoTokenizer`, without remote code, in transformers 4.57 and 5. The class here adds
construction from k and guards: a sequence without a usable k-mer raises an error instead of
becoming an empty row, and what lies beyond the longest input is not read.

A tokenizer with a barcode frame (`barcode_frame.py`: common coordinates, in which each base of a
barcode has a site) puts every k-mer at its own sites:

    TACGGTACA  ->  [UNK] GGTACA         (sites 3 to 11 of the barcode: the sequence has only half
                                         of the first k-mer, so [UNK] fills its place, unattended)

An inserted or deleted base would shift every k-mer after it; `barcode_indels.py` undoes the shift
and writes N for each deleted base. No `tokenizer.json` can do that. The one that is saved reads
framed text (`framed_text`), in which somebody has placed the letters already, and makes no token of
any other. All ways into the tokenizer end in `_encode_plus` (4.57: `_batch_encode_plus`), and the
frame is there. This file goes to the Hub verbatim, with its neighbours: it imports only numpy and
transformers. transformers 4.57 fetches the neighbours that this text names, and not theirs, so:

    from .barcode_anchors import (needed by barcode_placement)
    from .barcode_indels import (needed by barcode_reading)
    from .barcode_shifts import (needed by barcode_indels)

In: one sequence or a list. Out: `input_ids` and `attention_mask`, (B, L).
Guarded by tests/tokenization/.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizerFast

from .barcode_frame import BASES, LETTER_CODES, NO_BASE, BarcodeFrame
from .barcode_placement import BarcodePlacer, Placement
from .barcode_reading import BarcodeReading, Reading
from .kmer_backend import (
    MASK_TOKEN,
    SPECIAL_TOKENS,
    UNK_ID,
    UNK_TOKEN,
    build_backend,
)


MAX_LENGTH_BP = 660  # the published input length: a full 658 bp barcode and two bases
# transformers 4.57 has two ways into a tokenizer, and the one for single sequences ends in the
# other; in 5 there is only `_encode_plus`.
HAS_BATCH_WAY = hasattr(PreTrainedTokenizerFast, "_batch_encode_plus")


class InvalidSequenceError(ValueError):
    """Some sequences have no usable k-mer.

    Attributes:
        reasons: Row number in the batch -> what is wrong with that sequence.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        self.reasons = reasons
        shown = "; ".join(f"sequence {row}: {reason}" for row, reason in list(reasons.items())[:5])
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        super().__init__(f"{len(reasons)} of the sequences cannot be tokenized: {shown}{more}")


class BarcodeKmerTokenizer(PreTrainedTokenizerFast):
    """Fast tokenizer for non-overlapping k-mers.

    Whatever the way in (a call, `encode`, `tokenize`, `text_target`, words that are one sequence),
    sequences are placed in the frame, if there is one, and what lies beyond `max_length_bp` is not
    read. With `return_tensors` a list is padded unless told otherwise: `input_ids` and
    `attention_mask` of shape (B, L).

    Args:
        k: Length of a k-mer in bp, 3 to 8.
        max_length_bp: Longest sequence in bp; the rest is cut off.
        frame: Rows of the `BarcodeFrame` in which sequences are placed; None reads each sequence
            from its first base.
        **kwargs: Passed on to `PreTrainedTokenizerFast`.

    Attributes:
        frame: The rows as given, which is how the frame is stored; None without one.
        barcode_frame: The frame itself; None without one.
        placer: What places sequences in the frame; None without one.
        reading: What reads sequences as k-mers, in the frame if there is one.

    Raises:
        ValueError: k is out of range, `max_length_bp` is less than k, or `frame` is not a frame.
        InvalidSequenceError: When it reads, a sequence has no usable k-mer.
    """

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 (transformers' own form)

    def __init__(
        self,
        k: int = 6,
        max_length_bp: int = MAX_LENGTH_BP,
        frame: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if max_length_bp < k:
            raise ValueError(f"max_length_bp must be at least k={k}, got {max_length_bp}")
        for name in ("tokenizer_file", "vocab", "merges", "tokenizer_object"):
            kwargs.pop(name, None)  # the vocabulary is a function of k
        kwargs |= {"mask_token": MASK_TOKEN, "unk_token": UNK_TOKEN, "pad_token": UNK_TOKEN}
        kwargs["model_max_length"] = max_length_bp // k
        if frame is not None:
            kwargs["frame"] = list(frame)
        super().__init__(
            tokenizer_object=build_backend(k), k=k, max_length_bp=max_length_bp, **kwargs
        )
        self.k = k
        self.max_length_bp = max_length_bp
        self.frame = None if frame is None else list(frame)
        self.barcode_frame = None if frame is None else BarcodeFrame(frame)
        self.placer = None if self.barcode_frame is None else BarcodePlacer(self.barcode_frame)
        self.reading = BarcodeReading(k, self.barcode_frame)

    def __call__(
        self, text: Any = None, *args: Any, padding: bool | str | None = None, **kwargs: Any
    ) -> BatchEncoding:
        """Tokenize one barcode or a batch of them.

        Args:
            text: A sequence or a list of sequences.
            *args: Passed on to `PreTrainedTokenizerFast`.
            padding: As in transformers; None pads if tensors are asked for, and only then.
            **kwargs: Passed on to `PreTrainedTokenizerFast`, e.g. `return_tensors="pt"`.

        Returns:
            `input_ids` and `attention_mask`, (B, L), or (L,) lists for one sequence.

        Raises:
            InvalidSequenceError: Some sequences have no usable k-mer; names each.
            ValueError: The batch is empty, or an option would shift k-mers from their positions.
        """
        if not (text is None or isinstance(text, (str, list, tuple))):
            text = list(text)  # a column of a table, for instance
        if padding is None:
            padding = kwargs.get("return_tensors") is not None
            if padding and kwargs.get("max_length") is not None:
                kwargs.setdefault("truncation", True)  # as in transformers without padding
        return super().__call__(  # type: ignore[no-any-return]
            text, *args, padding=padding, **kwargs
        )

    def _encode_plus(  # type: ignore[override]
        self, text: Any, text_pair: Any = None, **options: Any
    ) -> BatchEncoding:
        """Tokenize; every way into the tokenizer ends here."""
        if HAS_BATCH_WAY:
            return super()._encode_plus(text, text_pair, **options)
        in_words = options.get("is_split_into_words", False)
        is_single = isinstance(text, str) or (in_words and (not text or isinstance(text[0], str)))
        refuse_pair(text_pair)
        tensor_type = options.pop("return_tensors", None)
        encoding = self.encode_rows(
            super()._encode_plus, [text] if is_single else list(text), options
        )
        if is_single and tensor_type is None:
            rows = {name: value[0] for name, value in encoding.items()}
            return BatchEncoding(rows, encoding.encodings)
        return encoding.convert_to_tensors(tensor_type)  # type: ignore[no-any-return]

    def _batch_encode_plus(self, batch_text_or_text_pairs: Any, **options: Any) -> BatchEncoding:
        """Tokenize a batch; in transformers 4.57 every way into the tokenizer ends here."""
        in_words = options.get("is_split_into_words", False)
        rows = list(batch_text_or_text_pairs)
        if any(isinstance(row, tuple) and not in_words for row in rows):
            refuse_pair(rows)
        tensor_type = options.pop("return_tensors", None)
        encode = super()._batch_encode_plus  # type: ignore[misc]
        encoding = self.encode_rows(encode, rows, options)
        return encoding.convert_to_tensors(tensor_type)  # type: ignore[no-any-return]

    def encode_rows(
        self, encode: Callable[..., BatchEncoding], rows: list[Any], options: dict[str, Any]
    ) -> BatchEncoding:
        """Place sequences, encode them, refuse what is unusable, and mask the leading [UNK].

        Args:
            encode: The method of transformers that encodes a list of texts.
            rows: Sequences, or the words of each.
            options: Arguments of that method.

        Returns:
            The encoding of the batch, as lists.
        """
        self.check_options(options)
        if options.pop("is_split_into_words", False):  # a barcode has no words
            rows = ["".join(words) for words in rows]
        sequences = check_texts(rows)
        most = self.num_kept(options)
        readings = self.reading.read(sequences, self.model_max_length)
        encoding = encode([self.reading.tokens_of(row, most) for row in readings], **options)
        encodings = encoding.encodings or []
        self.refuse_unusable([tokens.ids for tokens in encodings], sequences, most, readings)
        # In a frame the leading [UNK] tokens stand for k-mers that the sequence does not have.
        if self.frame is not None and "attention_mask" in encoding:
            for mask, tokens in zip(encoding["attention_mask"], encodings, strict=True):
                lead = count_leading(tokens.ids, UNK_ID)
                mask[:lead] = [0] * lead
        return encoding

    def check_options(self, options: dict[str, Any]) -> None:
        """Refuse options that would give k-mers other positions than in training."""
        if (options.get("padding_side") or self.padding_side) != "right":
            raise ValueError(
                "padding_side must be 'right': the model counts positions from the first token"
            )
        if self.truncation_side != "right":
            raise ValueError(
                "truncation_side must be 'right': the model counts positions from the first token"
            )
        if options.get("return_overflowing_tokens"):
            raise ValueError(
                "return_overflowing_tokens is not possible: of what is cut off, the k-mers would "
                "be read at the positions of the first ones"
            )
        if options.get("return_offsets_mapping") and self.frame is not None:
            raise ValueError(
                "return_offsets_mapping is not possible with a frame: tokens are sites of the "
                "barcode, not places in the text"
            )

    def num_kept(self, options: dict[str, Any]) -> int:
        """Return the largest number of tokens that a row may have."""
        cuts = getattr(options.get("truncation_strategy"), "value", "do_not_truncate")
        longest: int | None = options.get("max_length")
        if cuts == "do_not_truncate" or longest is None:
            return self.model_max_length
        return longest

    def pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> BatchEncoding:
        """Pad encoded barcodes on the right; see transformers."""
        self.check_options(kwargs)
        return super().pad(encoded_inputs, *args, **kwargs)

    def framed_text(self, sequences: Sequence[str]) -> list[str]:
        """Write sequences so that the plain tokenizer reads the same ids, without any code.

        An `@`, then the letters at their sites of the frame, N where there are none. The plain
        tokenizer is the `tokenizer.json` of the folder. It attends to every token, so whoever
        averages must leave out the leading [UNK], as this class does.

        Args:
            sequences: Barcodes as letters.

        Raises:
            ValueError: The tokenizer has no frame: it reads plain letters.
            InvalidSequenceError: Some sequences have no usable k-mer; names each.
        """
        if self.frame is None:
            raise ValueError("this tokenizer has no frame: its tokenizer.json reads plain letters")
        self.kmer_ids(sequences, self.model_max_length)  # refuses what is unusable
        readings = self.reading.read(sequences, self.model_max_length)
        return [self.reading.framed_text(row, self.model_max_length) for row in readings]

    def place(self, sequences: Sequence[str], *, both_strands: bool = True) -> list[Placement]:
        """Find whether, where in the frame and on which strand each sequence is a barcode.

        Args:
            sequences: DNA; `-` and `.` inside a sequence are unknown bases.
            both_strands: Whether to try the reverse complement of what does not clearly fit.

        Raises:
            ValueError: The tokenizer has no frame.
        """
        if self.placer is None:
            raise ValueError("this tokenizer has no frame in which sequences could be placed")
        return self.placer.place(sequences, both_strands=both_strands)

    def kmer_ids(self, sequences: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Tokenize by arithmetic: the same ids as a call without padding, but much faster.

        Args:
            sequences: Barcodes as letters.
            max_tokens: Longest row in tokens; the rest is cut off.

        Returns:
            The `input_ids` of each sequence, not padded.

        Raises:
            InvalidSequenceError: Some sequences have no usable k-mer; names each.
        """
        readings = self.reading.read(sequences, self.model_max_length)
        split = [self.split_lead(row, max_tokens) for row in readings]
        # Number the k-mers of all sequences at once, then cut the numbers into rows again.
        numbers = self.number_kmers("".join(kmers for _, kmers in split if kmers is not None))
        rows: list[list[int]] = []
        start = 0
        for lead, kmers in split:
            stop = start + len(kmers or "") // self.k
            rows.append([UNK_ID] * lead + numbers[start:stop])
            start = stop
        # What arithmetic cannot read goes through the stored tokenizer.
        others = [row for row, (_, kmers) in enumerate(split) if kmers is None]
        self.backend_tokenizer.no_truncation()
        self.backend_tokenizer.no_padding()
        for row in others:
            text = self.reading.tokens_of(readings[row], max_tokens)
            rows[row] = self.backend_tokenizer.encode(text).ids
        self.refuse_unusable(rows, sequences, max_tokens, readings)
        return rows

    def split_lead(self, reading: Reading, max_tokens: int) -> tuple[int, str | None]:
        """Split a reading into its leading [UNK] tokens and its complete k-mers.

        Args:
            reading: How the sequence is read.
            max_tokens: Longest row in tokens; the rest is cut off.

        Returns:
            lead: Number of leading [UNK] tokens.
            kmers: Letters of the complete k-mers; None if arithmetic cannot read them, since they
                hold something that is not a letter, such as a masked base.
        """
        letters = reading.letters
        if letters and not (letters.isascii() and letters.isalpha()):
            return 0, None
        lead = min(reading.lead, max_tokens)
        # As many tokens are read as are kept; what ends them in N is no k-mer.
        letters = letters[: (max_tokens - lead) * self.k].rstrip("Nn")
        return lead, letters[: len(letters) // self.k * self.k]

    def number_kmers(self, letters: str) -> list[int]:
        """Number k-mers that are written one after the other."""
        codes = LETTER_CODES[np.frombuffer(letters.encode(), np.uint8)].reshape(-1, self.k)
        ids = np.full(len(codes), 0)
        for column in codes.T:
            ids = len(BASES) * ids + column
        ids += len(SPECIAL_TOKENS)
        ids[(codes == NO_BASE).any(axis=1)] = UNK_ID
        numbers: list[int] = ids.tolist()
        return numbers

    def refuse_unusable(
        self,
        rows: Sequence[Sequence[int]],
        sequences: Sequence[str],
        max_tokens: int,
        readings: Sequence[Reading],
    ) -> None:
        """Raise `InvalidSequenceError` if any row of ids has no usable k-mer."""
        reasons = {
            row: self._reason(sequences[row], readings[row], max_tokens)
            for row, ids in enumerate(rows)
            if {UNK_ID}.issuperset(ids)
        }
        if reasons:
            raise InvalidSequenceError(reasons)

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """List the sequences that a call would refuse, without raising an error.

        Returns:
            Row number -> reason; empty if every sequence can be tokenized.
        """
        try:
            if sequences:
                self.kmer_ids(sequences, self.model_max_length)
        except InvalidSequenceError as error:
            return error.reasons
        return {}

    def _reason(self, sequence: str, reading: Reading, max_tokens: int) -> str:
        letters = self.backend_tokenizer.normalizer.normalize_str(sequence)
        if len(letters) < self.k:
            return f"{len(letters)} bases after clean-up, fewer than k={self.k}"
        if self.reading.has_kmer(reading.letters, self.model_max_length - reading.lead):
            return (
                f"starts at token {reading.lead + 1} of the frame, but only {max_tokens} tokens "
                "are kept: truncate less"
            )
        return f"no k-mer of {', '.join(BASES)} only: every token would be {UNK_TOKEN}"

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | Path, *args: Any, with_code: bool = False, **kwargs: Any
    ) -> tuple[str, ...]:
        """Save a folder that plain `AutoTokenizer` opens; with a frame, it reads framed text.

        Args:
            save_directory: Folder to write to.
            *args: Passed on to `PreTrainedTokenizerFast`.
            with_code: Also copy this file and its neighbours and name the class in `auto_map`, so
                that `trust_remote_code=True` opens this class. Always done with a frame.
            **kwargs: Passed on to `PreTrainedTokenizerFast`.

        Returns:
            Names of the files written.
        """
        # Otherwise the file would hold whatever truncation and padding the last call set.
        self.backend_tokenizer.no_truncation()
        self.backend_tokenizer.no_padding()
        files = super().save_pretrained(save_directory, *args, **kwargs)
        path = Path(save_directory) / "tokenizer_config.json"
        settings = json.loads(path.read_text())
        # transformers 5 would write "TokenizersBackend", which 4.57 does not know.
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        settings["model_input_names"] = self.model_input_names  # 4.57 would add token types
        settings.pop("auto_map", None)
        if with_code or self.frame is not None:
            # By its name, the package opens it as this class too, without remote code.
            settings["tokenizer_class"] = type(self).__name__
            reference = f"tokenization_barcodemae.{type(self).__name__}"
            settings["auto_map"] = {"AutoTokenizer": [None, reference]}
            for name in HUB_FILES:
                shutil.copyfile(Path(__file__).with_name(name), path.with_name(name))
        if self.frame is not None:  # only this class can place sequences in it
            plain = build_backend(self.k, reads_framed_text=True)
            plain.save(str(path.with_name("tokenizer.json")))
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        return tuple(files)


def count_leading(ids: Sequence[int], token: int) -> int:
    """Count how many times a row repeats one token at its beginning."""
    return next((place for place, other in enumerate(ids) if other != token), len(ids))


def refuse_pair(pair: Any) -> None:
    """Refuse a second text beside each sequence."""
    if pair is not None:
        raise ValueError("a barcode has no second text: barcodes are not read in pairs")


def check_texts(rows: list[Any]) -> list[str]:
    """Check that a batch holds texts, and at least one.

    Raises:
        ValueError: The batch is empty.
        TypeError: A row is not text; names it.
    """
    if not rows:
        raise ValueError("there are no sequences to tokenize")
    for row, text in enumerate(rows):
        if not isinstance(text, str):
            raise TypeError(f"sequence {row} is not text but {type(text).__name__}")
    return rows


HUB_FILES = (
    "tokenization_barcodemae.py",
    "barcode_anchors.py",
    "barcode_frame.py",
    "barcode_indels.py",
    "barcode_placement.py",
    "barcode_reading.py",
    "barcode_shifts.py",
    "kmer_backend.py",
)

__all__ = ["BarcodeKmerTokenizer", "InvalidSequenceError"]
