from barcodemae.eval.identify.rereading import kept_for_rereading
from barcodemae.fasta import SequenceRecord


def test_records_of_a_pipe_are_the_same_when_read_again():
    records = [SequenceRecord(1, "a", "a \udcff", "ACGT"), SequenceRecord(2, "a", "a", "")]
    with kept_for_rereading(iter(records)) as read:
        assert list(read()) == records
        assert list(read()) == records
