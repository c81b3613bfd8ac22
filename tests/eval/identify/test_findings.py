import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.findings import Finding, Placed, no_barcode, parse_thresholds


def test_what_is_no_barcode_has_no_name_at_any_rank():
    found = no_barcode(Finding("q", Placed(*[False, -1, "+", *[0] * 6, False, False]), None))
    assert found.flags == ["not_a_barcode"]
    assert (found.depth, found.assigned(), found.names) == (0, [], [None] * len(RANKS))


def test_thresholds_are_one_for_all_or_one_per_rank():
    assert set(parse_thresholds("0.7").values()) == {0.7}
    found = parse_thresholds("species=0.8,genus=0.9")
    assert (found["species"], found["genus"]) == (0.8, 0.9)


@pytest.mark.parametrize("text", ["2", "nan", "inf", "-1", "x", "tribe=0.5", "species=", "=1e"])
def test_nonsense_is_no_threshold(text):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        parse_thresholds(text)
