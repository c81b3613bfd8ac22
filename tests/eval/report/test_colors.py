from barcodemae.eval.report.colors import COLORS, OTHER_COLOR, PALETTE, readable_on


def test_no_two_taxa_share_a_colour_and_none_looks_unnamed():
    assert len(set(PALETTE)) == len(PALETTE)
    assert OTHER_COLOR not in PALETTE


def test_letters_stand_out_from_every_colour():
    assert readable_on("#000000") == "#FFFFFF"
    assert readable_on("#FFFFFF") == "#000000"
    assert {readable_on(color) for color in COLORS} == {"#000000", "#FFFFFF"}
