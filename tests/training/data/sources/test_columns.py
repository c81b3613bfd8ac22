"""Headers of every format are recognised, with the reason."""

import pytest

from barcodemae.errors import DataError
from barcodemae.training.data.sources.columns import read_layout


HEADERS = {
    "bioscan5m": "processid,sampleid,taxon,phylum,class,order,family,subfamily,genus,species,"
    "dna_bin,dna_barcode,country,province_state,coord-lat,coord-lon,image_measurement_value,"
    "area_fraction,scale_factor,inferred_ranks,split,index_bioscan_1M_insect,chunk",
    "canadian": "processid,sampleid,dna_bin,phylum,class,order,family,genus,species,dna_barcode,"
    "sequence_len,split",
    "reference": "chunk,phylum,class,order_name,family_name,subfamily_name,genus_name,"
    "species_name,dna_bin,nucleotides,split,genus_index,species_index",
    "bold": "processid,sampleid,kingdom,phylum,class,order,family,subfamily,genus,species,"
    "bin_uri,nuc,nuc_basecount,marker_code",
    "table": "processid,sequence",
}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_each_format_is_recognised(name):
    layout = read_layout("t.csv", HEADERS[name].split(","))
    assert layout.format == name
    assert layout.why


@pytest.mark.parametrize("barcode", ["nuc", "nucraw", "nucleotides"])
def test_bolds_drifting_names_are_all_found(barcode):
    header = ["processid", "phylum_name", "species_name", "bin_uri", barcode, "markercode"]
    layout = read_layout("t.tsv", header)
    assert layout.format == "bold"
    assert layout.columns == {
        **{"processid": 0, "phylum": 1, "species": 2, "dna_bin": 3, "dna_barcode": 4}
    }
    assert layout.marker == 5


def test_capitals_blanks_dots_and_a_leading_sharp_make_no_difference():
    header = ["#Process ID", "BIN URI", "Order", "DNA.Sequence"]
    columns = read_layout("t.tsv", header).columns
    assert columns == {"processid": 0, "dna_bin": 1, "order": 2, "dna_barcode": 3}


def test_aligned_letters_are_preferred_to_raw_ones():
    assert read_layout("t", ["nucraw", "bin_uri", "nuc"]).columns["dna_barcode"] == 2


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("pre_training.csv", "pretrain"), ("supervised_train.csv", "train")),
        *(("supervised_val.csv", "val"), ("supervised_test.csv.gz", "test")),
        *(("unseen.csv", "test_unseen"), ("other.csv", None)),
    ],
)
def test_the_references_files_carry_their_partition_in_the_name(name, split):
    layout = read_layout(f"/data/{name}", ["nucleotides", "genus_name", "genus_index"])
    assert layout.file_split == split
    assert layout.has_splits == (split is not None)


def test_a_split_column_wins_over_the_file_name():
    layout = read_layout("unseen.csv", ["nucleotides", "genus_index", "split"])
    assert layout.file_split is None
    assert layout.has_splits


def test_a_repeated_column_is_an_error():
    with pytest.raises(DataError, match="line 1: column 'genus' stands twice"):
        read_layout("t.csv", ["processid", "genus", "dna_barcode", "Genus "])


def test_a_table_without_barcodes_is_an_error_that_names_what_it_has():
    with pytest.raises(DataError, match=r"no column of barcodes .* has: processid, taxon"):
        read_layout("t.csv", ["processid", "taxon"])


def test_a_format_asked_for_is_checked():
    with pytest.raises(DataError, match="is not bold: it looks like canadian"):
        read_layout("t.csv", HEADERS["canadian"].split(","), "bold")
