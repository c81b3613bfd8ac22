from barcodemae.eval.identify.candidates import COLUMNS, Candidate, candidate_lines


def test_a_candidate_has_its_names_and_what_speaks_for_it(library):
    found = [Candidate(3, 0.99, 1.0, 2, 0, 0.97), Candidate(8, 0.9, 0.5, 10, 1, 0.8)]
    lines = candidate_lines("q 1", found, library)
    first, second = (
        dict(zip(COLUMNS, line.rstrip("\n").split("\t"), strict=True)) for line in lines
    )
    assert (first["id"], first["place"], first["reference"]) == ("q 1", "1", library.ids[3])
    assert first["genus"] == library.taxon(5, library.codes[3, 5])
    assert (second["identity"], second["substitutions"], second["indels"]) == ("0.9000", "10", "1")
