"""A file of another format is named, with what helps; what may be FASTA or FASTQ never is."""

import pytest

from barcodemae.conventions.other_formats import is_table, other_format, refusal


BEGINNINGS = {
    "GenBank": "LOCUS       AY1234    658 bp    DNA     linear   INV 01-JAN-2020\n",
    "EMBL": "ID   AY1234; SV 1; linear; genomic DNA; STD; INV; 658 BP.\n",
    "NEXUS": "#NEXUS\nBEGIN DATA;\n",
    "PHYLIP": " 3 658\na ACGT\n",
    "Clustal": "CLUSTAL W (1.83) multiple sequence alignment\n\na ACGT\n",
    "Stockholm": "# STOCKHOLM 1.0\na ACGT\n",
    "AB1": "ABIF\0e",
    "SAM": "@HD\tVN:1.6\n",
    "Parquet": "PAR1\x15\x04",
    "web page": "<!DOCTYPE html>\n<html>\n",
    "XML": "<?xml version='1.0'?>\n<a/>\n",
    "JSON": '{"id": "a", "sequence": "ACGT"}\n',
    "PDF": "%PDF-1.7\n",
    "tree": "(a:0.1,(b:0.2,c:0.3));\n",
}


def lines_of(text):
    return text.encode("latin-1").splitlines(keepends=True)


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_file_of_another_format_is_named_with_what_helps(name):
    why = refusal(lines_of(BEGINNINGS[name]))
    what, _, remedy = why.partition(", not FASTA or FASTQ: ")
    assert name in what
    assert remedy
    assert other_format(lines_of(BEGINNINGS[name])) == why
    assert not is_table(lines_of(BEGINNINGS[name]))


@pytest.mark.parametrize(
    "text",
    [
        *("", ">a\n", "@a\n", "; a comment\nACGT\n", "# exported, 2024\n>a\n"),
        *("stray words\n>a\n", "Locus, gene\n>a\n", "LOCUS       1\n>a\n", "<unknown>\n>a\n"),
        *("acgt-acgt\n", "ACGT\n\n", "ACGTACGT\nACGTACGT\nACG\n", "AC GT\nACGT\n"),
        "II@I\n@r2\n",  # a FASTQ that lost its first lines
    ],
)
def test_what_may_be_fasta_or_fastq_is_not_refused(text):
    assert refusal(lines_of(text)) == ""
    assert not is_table(lines_of(text))


@pytest.mark.parametrize(
    "text",
    [
        *("ACGTACGT\nACGTACGTAC\n", "ACGTAC\nACGT\nACGTAC\n"),
        # Of one length, but long enough to be named: as full barcodes, and as short reads.
        *("\n".join([base * length for base in "ACG"]) for length in (658, 150, 90)),
    ],
)
def test_sequences_line_by_line_without_headers_are_not_joined(text):
    assert "lines of letters and no header" in refusal(lines_of(text))


@pytest.mark.parametrize(
    "text",
    [
        *("id,seq\na,ACGT\n", "a\tb\n", "a;b\nc;d\n", '"id","seq"\n'),
        *("# exported, 2024\nid\tseq\n", "#OTU ID\tsequence\na\tACGT\n"),
    ],
)
def test_tables_are_told_by_what_stands_between_fields(text):
    assert is_table(lines_of(text))
    assert "is a table" in refusal(lines_of(text))


def test_other_text_is_neither():
    why = refusal(lines_of("see page 3\nfor details\n"))
    assert why == "is neither FASTA nor FASTQ: no line begins with > or @"
