"""Headers of every convention give the labels that they mean, from documented example lines."""

import pytest

from barcodemae.training.data.sources.headers import read_annotations, read_header, read_pipes


ABOVE = {"phylum": "Arthropoda", "class": "Insecta", "order": "Diptera", "family": "Culicidae"}
AEDES = {"genus": "Aedes", "species": "Aedes aegypti"}


@pytest.mark.parametrize(
    ("header", "name", "labels", "convention"),
    [
        (
            "X80725_S000;tax=d:Eukaryota,p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,g:Aedes,"
            "s:Aedes_aegypti;",
            *("X80725_S000", ABOVE | AEDES, "SINTAX annotations"),
        ),
        (
            "AAASF001-17|COI-5P|Mexico|Animalia,Arthropoda,Insecta,Diptera,Culicidae,None,Aedes,"
            "Aedes aegypti,None",
            *("AAASF001-17", ABOVE | AEDES | {"marker": "COI-5P"}, "BOLD 5's | header"),
        ),
        (
            "AAASF001-17|COI-5P|Mexico|Animalia,Arthropoda,Insecta,Diptera,Culicidae,Culicinae,"
            "Aedini,Aedes,Aedes aegypti,None",
            "AAASF001-17",
            ABOVE | AEDES | {"subfamily": "Culicinae", "marker": "COI-5P"},
            "BOLD 5's | header",
        ),
        (
            "GBAN0001-13|NHM 1|Aedes aegypti|COI-5P|BOLD:AAA0001",
            "GBAN0001-13",
            AEDES | {"marker": "COI-5P", "dna_bin": "BOLD:AAA0001"},
            "BOLD's | header",
        ),
        (
            "GBAN0001-13|Aedes aegypti|COI-5P|AY123456",
            *("GBAN0001-13", AEDES | {"marker": "COI-5P"}, "BOLD's | header"),
        ),
        (
            "gi|1234567|gb|JF502242.1| Aedes aegypti voucher A1 cytochrome oxidase subunit 1 (COI) "
            "gene, partial cds; mitochondrial",
            *("JF502242.1", AEDES | {"marker": "COI-5P"}, "NCBI's description"),
        ),
        (
            "JF502242.1 Bactrocera cf. dorsalis isolate 5 mitochondrion, complete genome",
            *("JF502242.1", {"genus": "Bactrocera"}, "NCBI's description"),
        ),
        ("gi|1234567|gb|JF502242.1|", "JF502242.1", {}, "NCBI's description"),
        (
            "ENA|MK123456|MK123456.1 Aedes aegypti mitochondrial partial COI gene",
            *("MK123456", AEDES | {"marker": "COI-5P"}, "NCBI's description"),
        ),
        (
            "lcl|NC_024511.2_cds_YP_009047080.1_1 [gene=COX1]",
            *("NC_024511.2_cds_YP_009047080.1_1", {"marker": "COI-5P"}, "NCBI's description"),
        ),
        (
            "KY305681;Root;Eukaryota;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti",
            *("KY305681", ABOVE | AEDES, "a lineage as header"),
        ),
        (
            "GU678901\tcellularOrganisms;Eukaryota;Metazoa;Arthropoda;undef_Arthropoda;"
            "undef_undef_Arthropoda;undef_undef_undef_Arthropoda;Aedes;Aedes_aegypti",
            *("GU678901", {"phylum": "Arthropoda"} | AEDES, "a lineage after the id"),
        ),
        (
            'A1 {"count":2,"taxid":"taxon:7159 [Aedes aegypti]@species"}',
            *("A1", AEDES, "obitools' annotations"),
        ),
        (
            'A1 {"obitag_rank":"family","scientific_name":"Culicidae"}',
            *("A1", {"family": "Culicidae"}, "obitools' annotations"),
        ),
        (
            "A1 scientific_name=Culicidae; rank=family; taxid=7157;",
            *("A1", {"family": "Culicidae"}, "obitools' annotations"),
        ),
        (
            "Aedes_aegypti|MT153946|SH1227328.10FU|refs|k__Animalia;p__Arthropoda;c__Insecta;"
            "o__Diptera;f__Culicidae;g__Aedes;s__Aedes_aegypti",
            *("MT153946", ABOVE | AEDES, "UNITE's | header"),
        ),
        (
            "JF502242.1.7041.7724###root_1;Eukaryota_2759;Arthropoda_6656;Insecta_50557;"
            "Diptera_7147;Culicidae_7157;Aedes_7158;Aedes aegypti_7159",
            *("JF502242.1.7041.7724", ABOVE | AEDES, "MIDORI2's ### header"),
        ),
        (
            "JF502242.1.7041.7724;tax=k:Eukaryota_2759,p:Arthropoda_6656,c:Insecta_50557,"
            "o:Diptera_7147,f:Culicidae_7157,g:Aedes_7158,s:Aedes_aegypti_7159",
            *("JF502242.1.7041.7724", ABOVE | AEDES, "SINTAX annotations"),
        ),
        (
            "JF502242.1.7041.7724\troot_1;Eukaryota_2759;Arthropoda_6656;Insecta_50557;"
            "Diptera_7147;family_Diptera_7147;Aedes_7158;Aedes aegypti_7159",
            "JF502242.1.7041.7724",
            {rank: name for rank, name in (ABOVE | AEDES).items() if rank != "family"},
            "a lineage after the id",
        ),
        (
            "BPALB001-17;tax=k:Animalia,p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,"
            "g:Culicidae_X,s:Culicidae_XX,t:BOLD:AAF0001",
            *("BPALB001-17", ABOVE | {"dna_bin": "BOLD:AAF0001"}, "SINTAX annotations"),
        ),
        (
            "GU678900 cellularOrganisms;Eukaryota;Metazoa;Arthropoda;Insecta;Diptera;Culicidae;"
            "Aedes;Aedes_aegypti",
            *("GU678900", ABOVE | AEDES, "a lineage after the id"),
        ),
        (
            "GU678900\troot;Eukaryota;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes_aegypti",
            *("GU678900", ABOVE | AEDES, "a lineage after the id"),
        ),
        (
            "GU678900 k__Animalia; p__Arthropoda; c__Insecta; o__Diptera; f__Culicidae; g__Aedes; "
            "s__aegypti",
            *("GU678900", ABOVE | AEDES, "a lineage after the id"),
        ),
        (
            "Animalia;Arthropoda;Insecta;Diptera;Culicidae;Aedes;Aedes aegypti;",
            *("", ABOVE | AEDES, "a lineage as header"),
        ),
        ("GU678900 Aedes aegypti", "GU678900", AEDES, "NCBI's description"),
        (
            "A1 Animalia,Arthropoda,Insecta,Diptera,Culicidae,Aedes,Aedes_aegypti",
            *("A1", ABOVE | AEDES, "a lineage after the id"),
        ),
        (
            "A1 count=3; order_name=Diptera; family_name=Culicidae; genus_name=Aedes; "
            "species_name=Aedes aegypti; taxid=7159; ecotag test",
            "A1",
            AEDES | {"order": "Diptera", "family": "Culicidae"},
            "obitools' annotations",
        ),
        (
            'A1 {"family_name":"Culicidae","species_name":"Aedes aegypti","taxid":7159}',
            *("A1", AEDES | {"family": "Culicidae"}, "obitools' annotations"),
        ),
        ("R0 extra words", "R0", {}, ""),
        ("A1;size=3; note", "A1;size=3;", {}, ""),
        ("sample Left leg", "sample", {}, ""),
        ("", "", {}, ""),
    ],
)
def test_each_convention_is_read(header, name, labels, convention):
    found = read_header(header)
    assert (found.name, found.labels, found.convention) == (name, labels, convention)


@pytest.mark.parametrize(
    ("header", "marker"),
    [
        (
            "A1|rbcL|Mexico|Plantae,Magnoliophyta,Magnoliopsida,Malpighiales,Salicaceae,None,Salix",
            "rbcL",
        ),
        ("AB12345.1 Aedes aegypti 16S ribosomal RNA gene, partial sequence", "16S"),
        ("A1|Aedes aegypti|16S", "16S"),
        ("A1 some words, rbcL gene", "rbcL"),
        ("A1;tax=p:Arthropoda,g:Aedes;marker=16S;", "16S"),
        ("A1|Aedes aegypti|coi", "COI-5P"),
        (
            "AB12345.1 Aedes aegypti 16S ribosomal RNA and cytochrome c oxidase subunit I genes",
            "COI-5P",
        ),
    ],
)
def test_a_marker_is_found_wherever_it_stands(header, marker):
    assert read_header(header).labels["marker"] == marker


def test_homonyms_stay_apart_by_their_families():
    plant = read_header("A1;tax=p:Tracheophyta,f:Ericaceae,g:Pieris;").labels
    butterfly = read_header("A2;tax=p:Arthropoda,f:Pieridae,g:Pieris;").labels
    assert (plant["family"], butterfly["family"]) == ("Ericaceae", "Pieridae")
    assert plant["genus"] == butterfly["genus"] == "Pieris"


def test_sintax_annotations_are_read():
    header = "A1;tax=k:Animalia,p:Arthropoda,c:Insecta,o:Diptera,f:Culicidae,sf:Culicinae,"
    header += "g:Aedes,s:Aedes_aegypti;size=3;bin=BOLD:AAA0001;split=validation;"
    name, labels = read_annotations(header)
    assert name == "A1"
    assert labels == {
        **{"phylum": "Arthropoda", "class": "Insecta", "order": "Diptera"},
        **{"family": "Culicidae", "subfamily": "Culicinae", "genus": "Aedes"},
        **{"species": "Aedes aegypti", "dna_bin": "BOLD:AAA0001", "split": "val"},
    }


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        (
            "A1|Aedes aegypti|COI-5P|BOLD:AAA0001",
            {
                **{"genus": "Aedes", "species": "Aedes aegypti"},
                **{"marker": "COI-5P", "dna_bin": "BOLD:AAA0001"},
            },
        ),
        ("A1|Culicidae|COI-5P", {"family": "Culicidae", "marker": "COI-5P"}),
        ("A1|Culicinae", {"subfamily": "Culicinae"}),
        ("A1|Diptera|ITS2|AY123", {"marker": "ITS2"}),
    ],
)
def test_bolds_pipes_are_read(header, labels):
    assert read_pipes(header) == ("A1", labels)
