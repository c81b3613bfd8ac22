"""Processing on threads: each item once, with torch single-threaded, in order."""

import pytest
import torch

from barcodemae.eval.embed.threads import work_on_threads


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_item_is_processed_once_on_one_thread(threads):
    seen = []
    steps = work_on_threads(lambda item: seen.append((item, torch.get_num_threads())), range(20))
    assert len(list(steps)) == 20
    assert sorted(seen) == [(item, 1) for item in range(20)]
    assert torch.get_num_threads() == threads
    assert list(work_on_threads(print, [])) == []


def test_an_error_is_raised_and_the_number_of_threads_is_restored(threads):
    def fail(item):
        raise ValueError(item)

    with pytest.raises(ValueError, match="7"):
        list(work_on_threads(fail, [7, 8]))
    assert torch.get_num_threads() == threads
