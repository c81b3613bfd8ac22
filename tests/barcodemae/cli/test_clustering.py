"""Sequences are placed before they are clustered: one strand, and only barcodes."""

from dataclasses import dataclass

from barcodemae.calls.units import letters_to_compare


@dataclass
class Placed:
    letters: str
    is_barcode: bool


class Embedder:
    placer = None


class Placer:
    def place(self, sequences):
        return [Placed(text[:4], text.startswith("A")) for text in sequences]


def test_placed_letters_are_compared_and_what_is_no_barcode_is_not():
    embedder = Embedder()
    embedder.placer = Placer()
    assert letters_to_compare(["ACGTTT", "CCCC"], embedder) == ["ACGT", None]


def test_models_without_a_frame_compare_sequences_as_they_are():
    assert letters_to_compare(["acgt-"], Embedder()) == ["ACGT"]
