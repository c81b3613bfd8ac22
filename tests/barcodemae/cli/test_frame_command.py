"""`frame` writes what the plain tokenizer of a folder reads into the same ids."""

from tokenizers import Tokenizer

from barcodemae.cli import main


def test_framed_lines_are_read_without_code_into_the_ids_of_the_tokenizer_with_code(
    framed_folder, framed_tokenizer, relatives, tmp_path, capsys
):
    pieces = [relatives[0], relatives[1][47:], relatives[2][20:150].lower(), "ACGTTT-GGG"]
    fasta = tmp_path / "in.fasta"
    fasta.write_text("".join(f">r{row} x\n{text}\n" for row, text in enumerate([*pieces, "NN"])))
    out = tmp_path / "framed.tsv"
    assert main(["frame", str(fasta), "--model", str(framed_folder), "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "record 5 (r4)" in said
    assert "4 records framed" in said
    header, *lines = out.read_text().splitlines()
    assert header == "id\ttext"
    ids, texts = zip(*(line.split("\t") for line in lines), strict=True)
    assert list(ids) == ["r0", "r1", "r2", "r3"]
    plain = Tokenizer.from_file(str(framed_folder / "encoder" / "tokenizer.json"))
    found = [plain.encode(text).ids for text in texts]
    assert found == framed_tokenizer(pieces)["input_ids"]
    assert [plain.encode(text).ids for text in pieces] == [[]] * 4


def test_a_model_without_a_frame_and_a_file_without_barcodes_are_refused(
    tiny_folder, framed_folder, tmp_path, capsys
):
    fasta = tmp_path / "in.fasta"
    fasta.write_text(">a\nNN\n")
    assert main(["frame", str(fasta), "--model", str(tiny_folder)]) == 2
    assert "has no frame" in capsys.readouterr().err
    out = tmp_path / "framed.tsv"
    assert main(["frame", str(fasta), "--model", str(framed_folder), "-o", str(out)]) == 2
    assert not out.exists()
