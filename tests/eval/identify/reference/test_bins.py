import numpy as np
import pyarrow as pa

from barcodemae.eval.identify.reference.bins import Bins


def test_agreement_is_the_share_of_the_named_members():
    column = pa.chunked_array([["A", "A", "A", None, "B", "A"]], pa.string())
    bins = Bins.of_library(column, np.array([1, 1, 2, 1, -1, -1], np.int32))
    assert bins.describe(0) == ("A", 2 / 3)
    assert bins.describe(3) == (None, None)
    assert bins.describe(4) == ("B", None)
