"""The k-mer tokenizer: non-overlapping k-mers of a DNA barcode as data, not code.

    ACGTACGGTACAN  ->  ACGTAC GGTACA        (k = 6, trailing N stripped, remainder dropped)

The saved `tokenizer.json` (a `Split` on `.{k}` and a `WordLevel` vocabulary) is complete, so saved
folders open with plain `AutoTokenizer`, without remote code, in transformers 4.57 and 5. The class
here adds construction from k and a guard: a sequence without a usable k-mer raises an error
instead of becoming an empty row.

A tokenizer with a barcode frame (`barcode_frame.py`: common coordinates, in which each base of a
barcode has a site) puts every k-mer at its own sites:

    TACGGTACA  ->  [UNK] GGTACA         (sites 3 to 11 of the barcode: the sequence has only half
                                         of the first k-mer, so [UNK] fills its place, unattended)

An inserted or deleted base would shift every k-mer after it; `barcode_indels.py` undoes the shift
and writes N for each deleted base.

`tokenizer.json` cannot express this, so that file is left out: plain `AutoTokenizer` then fails on
the folder, rather than reading barcodes at positions the model was not trained on. This file goes
to the Hub verbatim, with its neighbours: it imports only numpy, tokenizers and transformers.

In: one sequence or a list. Out: `input_ids` and `attention_mask`, (B, L).
Guarded by tests/tokenization/.
"""

import json
import re
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BatchEncoding, PreTrainedTokenizerFast

from .barcode_frame import BASES, LETTER_CODES, NO_BASE, BarcodeFrame
from .barcode_indels import find_segments, letters_in_frame
from .barcode_placement import BarcodePlacer, Placement, unknown_for_gaps


MASK_TOKEN = "[MASK]"
UNK_TOKEN = "[UNK]"
SPECIAL_TOKENS = (MASK_TOKEN, UNK_TOKEN)  # ids 0 and 1, as published
UNK_ID = SPECIAL_TOKENS.index(UNK_TOKEN)
MIN_K, MAX_K = 3, 8
GAPS = re.compile(r"[-.\s]+")
LEAD = re.compile(rf"(?:{re.escape(UNK_TOKEN)})*")  # [UNK] tokens before the first k-mer
MASKED_BASE = "\0"  # stands for each base of a [MASK] while a sequence is placed in the frame
MAX_LENGTH_BP = 660  # the published input length: a full 658 bp barcode and two bases


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


def count_leading(ids: Sequence[int], token: int) -> int:
    """Count how many times a row repeats one token at its beginning."""
    return next((place for place, other in enumerate(ids) if other != token), len(ids))


def kmer_vocabulary(k: int) -> dict[str, int]:
    """Number the tokens: [MASK] = 0, [UNK] = 1, then the k-mers in `product("ACGT")` order.

    Args:
        k: Length of a k-mer in bp, 3 to 8.

    Returns:
        Token -> id, 4**k + 2 entries.

    Raises:
        ValueError: k is out of range.
    """
    if not MIN_K <= k <= MAX_K:
        raise ValueError(f"k must be between {MIN_K} and {MAX_K} bp, got k={k}")
    kmers = ("".join(letters) for letters in product(BASES, repeat=k))
    return {token: index for index, token in enumerate([*SPECIAL_TOKENS, *kmers])}


def build_backend(k: int) -> Tokenizer:
    """Assemble the tokenizer that is stored in `tokenizer.json`.

    It accepts lower case and U, removes gaps (`-`, `.`) and white space, strips N from the 3' end
    as the reference code does (N at the 5' end stays, so that the k-mer boundaries stay) and drops
    an incomplete last k-mer. A k-mer with any letter but A, C, G, T becomes [UNK].
    """
    backend = Tokenizer(models.WordLevel(kmer_vocabulary(k), unk_token=UNK_TOKEN))
    # tokenizers has no upper-case normaliser, hence one replacement per letter.
    upper = [normalizers.Replace(letter, letter.upper()) for letter in "acgtn"]
    backend.normalizer = normalizers.Sequence(
        [
            *upper,
            *(normalizers.Replace(letter, "T") for letter in "uU"),
            normalizers.Replace(Regex(GAPS.pattern), ""),
            normalizers.Replace(Regex(r"N+\z"), ""),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(f".{{{k}}}"), "removed", invert=True)
    backend.decoder = decoders.Fuse()  # k-mers decode to one sequence, without blanks
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL_TOKENS])
    return backend


class BarcodeKmerTokenizer(PreTrainedTokenizerFast):
    """Fast tokenizer for non-overlapping k-mers.

    Calling it pads and truncates by default, so a list of strings always gives a rectangular
    batch: with `return_tensors="pt"`, `input_ids` and `attention_mask` of shape (B, L).

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

    Raises:
        ValueError: k is out of range, `max_length_bp` is less than k, or `frame` is not a frame.
        InvalidSequenceError: On a call, a sequence has no usable k-mer.
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

    def __call__(
        self,
        text: str | Sequence[str],
        *args: Any,
        padding: bool | str = True,
        truncation: bool | str = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Tokenize one barcode or a batch of them.

        Args:
            text: A sequence or a list of sequences.
            *args: Passed on to `PreTrainedTokenizerFast`.
            padding: On by default, unlike in transformers.
            truncation: On by default, unlike in transformers.
            **kwargs: Passed on to `PreTrainedTokenizerFast`, e.g. `return_tensors="pt"`.

        Returns:
            `input_ids` and `attention_mask`, (B, L), or (L,) lists for one sequence.

        Raises:
            InvalidSequenceError: Some sequences have no usable k-mer; names each.
            ValueError: The batch is empty.
        """
        if not isinstance(text, str) and not len(text):
            raise ValueError("there are no sequences to tokenize")
        sequences = [text] if isinstance(text, str) else list(text)
        tensor_type = kwargs.pop("return_tensors", None)
        placed = self.place_in_frame(sequences)
        encoding: BatchEncoding = super().__call__(
            placed[0] if isinstance(text, str) else placed,
            *args,
            padding=padding,
            truncation=truncation,
            **kwargs,
        )
        self.refuse_unusable([tokens.ids for tokens in encoding.encodings or []], sequences)
        # In a frame the leading [UNK] tokens stand for k-mers that the sequence does not have.
        if self.frame is not None and "attention_mask" in encoding:
            masks = encoding["attention_mask"]
            for row, tokens in enumerate(encoding.encodings or []):
                lead = count_leading(tokens.ids, self.unk_token_id)
                mask = masks if isinstance(text, str) else masks[row]
                mask[:lead] = [0] * lead
        if tensor_type is not None:
            encoding.convert_to_tensors(tensor_type, prepend_batch_axis=isinstance(text, str))
        return encoding

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
        placed = self.place_in_frame(list(sequences))
        split = [self.split_lead(text, max_tokens) for text in placed]
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
        if others:
            texts = [placed[row] for row in others]
            encoding = super().__call__(texts, truncation=True, max_length=max_tokens)
            for row, ids in zip(others, encoding["input_ids"], strict=True):
                rows[row] = ids
        self.refuse_unusable(rows, sequences)
        return rows

    def split_lead(self, text: str, max_tokens: int) -> tuple[int, str | None]:
        """Split a placed sequence into its leading [UNK] tokens and its complete k-mers.

        Args:
            text: A sequence from `place_in_frame`.
            max_tokens: Longest row in tokens; the rest is cut off.

        Returns:
            lead: Number of leading [UNK] tokens.
            kmers: Letters of the complete k-mers; None if arithmetic cannot read them, since they
                hold something that is not a letter, such as [MASK] or white space.
        """
        lead = LEAD.match(text).end() // len(UNK_TOKEN)  # type: ignore[union-attr]  # or empty
        letters = text[lead * len(UNK_TOKEN) :].replace("-", "").replace(".", "")
        if letters and not (letters.isascii() and letters.isalpha()):
            return 0, None
        lead = min(lead, max_tokens)
        num_kmers = min(len(letters.rstrip("Nn")) // self.k, max_tokens - lead)
        return lead, letters[: num_kmers * self.k]

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

    def place_in_frame(self, sequences: list[str]) -> list[str]:
        """Place sequences in the frame, if there is one.

        Returns:
            The sequences, each with an [UNK] for every k-mer before its first complete one, and an
            N for every deleted base; unchanged without a frame.
        """
        if self.barcode_frame is None:
            return sequences
        cleaned = [
            unknown_for_gaps(text).replace(MASK_TOKEN, MASKED_BASE * self.k) for text in sequences
        ]
        placed = []
        found = find_segments(self.barcode_frame, cleaned)
        for original, sequence, segments in zip(sequences, cleaned, found, strict=True):
            first_site = segments[0].site
            lead = max(-(-first_site // self.k), 0)  # k-mers that are missing or incomplete
            letters = letters_in_frame(sequence, segments)[lead * self.k - first_site :]
            if not self.has_kmer(letters, self.model_max_length - lead):
                # Readable from its first base as without a frame, so not refused.
                lead, letters = 0, self.without_gaps(original)
            placed.append(UNK_TOKEN * lead + self.restore_masks(letters))
        return placed

    def without_gaps(self, text: str) -> str:
        """Remove gaps and white space from a sequence and mark its masked bases."""
        return GAPS.sub("", text).replace(MASK_TOKEN, MASKED_BASE * self.k)

    def restore_masks(self, letters: str) -> str:
        """Write [MASK] for every k-mer with a masked base."""
        if MASKED_BASE not in letters:
            return letters
        kmers = [
            letters[base : base + self.k] for base in range(0, len(letters) - self.k + 1, self.k)
        ]
        return "".join(MASK_TOKEN if MASKED_BASE in kmer else kmer for kmer in kmers)

    def has_kmer(self, letters: str, max_tokens: int) -> bool:
        """Whether any of the first `max_tokens` k-mers consists of A, C, G and T only."""
        pattern = rf"(?:.{{{self.k}}})*?[ACGTUacgtu]{{{self.k}}}"
        return re.match(pattern, letters[: self.k * max(max_tokens, 0)]) is not None

    def refuse_unusable(self, rows: Sequence[Sequence[int]], sequences: Sequence[str]) -> None:
        """Raise `InvalidSequenceError` if any row of ids has no usable k-mer."""
        unusable = {self.unk_token_id}
        reasons = {
            row: self._reason(sequences[row])
            for row, ids in enumerate(rows)
            if unusable.issuperset(ids)
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
                self(list(sequences))
        except InvalidSequenceError as error:
            return error.reasons
        return {}

    def _reason(self, sequence: str | Sequence[str]) -> str:
        letters = self.backend_tokenizer.normalizer.normalize_str("".join(sequence))
        if len(letters) < self.k:
            return f"{len(letters)} bases after clean-up, fewer than k={self.k}"
        return f"no k-mer of {', '.join(BASES)} only: every token would be {UNK_TOKEN}"

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | Path, *args: Any, with_code: bool = False, **kwargs: Any
    ) -> tuple[str, ...]:
        """Save a folder that plain `AutoTokenizer` opens; with a frame, only this class opens it.

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
        if self.frame is not None:  # only this class can place sequences in it
            settings["tokenizer_class"] = type(self).__name__
            path.with_name("tokenizer.json").unlink()
            files = tuple(name for name in files if not name.endswith("tokenizer.json"))
        if with_code or self.frame is not None:
            for name in HUB_FILES:
                shutil.copyfile(Path(__file__).with_name(name), path.with_name(name))
            reference = f"tokenization_barcodemae.{type(self).__name__}"
            settings["auto_map"] = {"AutoTokenizer": [None, reference]}
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        return tuple(files)


HUB_FILES = (
    "tokenization_barcodemae.py",
    "barcode_anchors.py",
    "barcode_frame.py",
    "barcode_indels.py",
    "barcode_placement.py",
    "barcode_shifts.py",
)

__all__ = ["BarcodeKmerTokenizer", "InvalidSequenceError", "build_backend", "kmer_vocabulary"]
