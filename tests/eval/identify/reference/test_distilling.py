import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.reference.distilling import (
    MIN_LETTERS,
    choose_representatives,
    count_known,
    cover,
    differs,
    groups_of,
)
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.writer import write_library
from barcodemae.eval.search.reference_search import unit_length


LETTERS = np.full(1, 600)


@pytest.fixture
def make_library(tmp_path, embedder):
    def make(rows):
        data = tmp_path / "data"
        data.mkdir()
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), data / "part.parquet")
        write_library(data, tmp_path, embedder, splits=("train",))
        return ReferenceLibrary(tmp_path, is_finished=False)

    return make


def distances(library):
    vectors = np.asarray(library.vectors, np.float64)
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=2)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_every_reference_has_a_representative_nearer_than_any_other_taxon(library, share):
    keep = choose_representatives(library, share)
    apart, species = distances(library), library.codes[:, -1]
    is_same = species[:, None] == species[None]
    nearest_other = np.where(is_same, np.inf, apart).min(axis=1)
    nearest_own = np.where(is_same & keep[None], apart, np.inf).min(axis=1)
    assert (nearest_own <= share * nearest_other + 1e-6).all()
    assert 0 < keep.sum() < len(library)


def test_no_taxon_is_lost(library):
    keep = choose_representatives(library, 0.9)
    for rank in range(len(RANKS)):
        assert set(library.codes[keep, rank]) == set(library.codes[:, rank])


def test_a_smaller_share_keeps_more(library):
    kept = [int(choose_representatives(library, share).sum()) for share in (0.0, 0.3, 0.9)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[-1]


def test_copies_need_one_representative_even_where_another_taxon_has_them_too(make_library, rows):
    first, other = rows[0], rows[30]
    copies = [first | {"processid": f"c{n}", "split": "train"} for n in range(4)]
    thief = first | {"processid": "thief", "species": "Genus0 thief", "split": "train"}
    library = make_library([*copies, thief, other | {"split": "train"}])
    keep = choose_representatives(library, 0.5)
    assert keep.tolist() == [True, False, False, False, True, True]


def test_references_without_species_and_bin_all_stay(make_library, rows):
    unnamed = [rows[0] | {"processid": f"u{n}", "species": None, "split": "train"} for n in (1, 2)]
    binned = [row | {"processid": f"b{row['processid']}", "dna_bin": "BOLD:A"} for row in unnamed]
    library = make_library([*(u | {"dna_bin": None} for u in unnamed), *binned])
    assert groups_of(library).tolist()[:2] == [UNKNOWN, UNKNOWN]
    assert choose_representatives(library, 0.5).tolist() == [True, True, True, False]


def test_references_of_one_species_with_other_lineages_or_bins_all_have_one(make_library, rows):
    base = rows[0] | {"split": "train"}
    found = [
        base | {"processid": "a", "dna_bin": "BOLD:A"},
        base | {"processid": "b", "dna_bin": "BOLD:B"},
        base | {"processid": "c", "dna_bin": "BOLD:A", "family": None},
    ]
    assert choose_representatives(make_library(found), 0.9).all()


def test_what_lacks_a_name_is_no_rival_of_what_may_be_the_same():
    labels = np.array([[1, 2], [1, UNKNOWN], [1, 3], [4, UNKNOWN], [UNKNOWN, 2]])
    expected = np.array([[0, 0, 1, 1, 0], [0, 0, 0, 1, 0]], bool)
    np.testing.assert_array_equal(differs(labels[:2], labels), expected)


def test_a_fragment_does_not_stand_for_a_whole_barcode():
    vectors = unit_length(np.ones((3, 4), np.float32)).astype(np.float64)
    known = np.array([300, 650, 640])
    assert cover(vectors, np.ones(3), known).tolist() == [False, True, False]
    apart = np.array([[1.0, 0.0], [0.0, 1.0]])
    is_chosen = cover(apart, np.full(2, 1.5), np.array([int(600 * MIN_LETTERS) - 1, 600]))
    assert is_chosen.tolist() == [False, True]


def test_the_worst_covered_reference_is_chosen_next():
    angles = np.radians([0, 5, 10, 60, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    is_chosen = cover(vectors, np.full(5, 0.6), np.repeat(LETTERS, 5))
    # 10 degrees are nearest to the mean; from there 90 are furthest, and 60 are near enough to 90.
    assert is_chosen.tolist() == [False, False, True, False, True]


def test_unknown_letters_do_not_count():
    assert count_known("ACNNGT") == 4


def test_a_share_of_one_or_more_is_refused(library):
    with pytest.raises(SettingsError, match="at least 0 and below 1, not 1"):
        choose_representatives(library, 1.0)
