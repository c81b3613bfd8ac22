"""A crew without Ray: the same interface in this process, whose workers die when they are told."""

import random
from contextlib import contextmanager

import pytest

from barcodemae.distributed.crew import Report
from barcodemae.errors import BarcodeMAEError


class StandIn:
    """A crew whose workers compute in this process and report in any order.

    Args:
        make: Function that opens what a worker needs.
        size: Number of workers.
        deaths: How often a worker dies over the shard of a number; 0 stands for opening.
    """

    def __init__(self, make, size=2, deaths=None):
        self.make, self.size = make, size
        self.deaths = dict(deaths or {})
        self.works, self.reports, self.done = {}, [], []
        self.generator = random.Random(0)
        self.num_hired = 0

    def dies(self, number):
        self.deaths[number] = self.deaths.get(number, 0) - 1
        return self.deaths[number] >= 0

    def hire(self):
        self.num_hired += 1
        worker = self.num_hired
        if self.dies(0):
            self.reports.append(Report(worker, is_lost=True))
        else:
            self.works[worker] = self.make()
            self.reports.append(Report(worker))
        return worker

    def hand(self, worker, shard):
        if self.dies(shard.number):
            del self.works[worker]
            self.reports.append(Report(worker, is_lost=True))
            return
        self.done.append(shard.number)
        try:
            self.reports.append(Report(worker, self.works[worker](shard.load)))
        except BarcodeMAEError as error:
            self.reports.append(Report(worker, error=error))

    def dismiss(self, worker):
        del self.works[worker]

    def wait(self):
        at = self.generator.randrange(len(self.reports))  # the order is not that of the input
        return self.reports.pop(at)

    def close(self):
        self.works.clear()


@pytest.fixture
def hire():
    """Hire stand-ins: `hire(make)` as a command does; `hire.size`, `hire.deaths` set beforehand."""

    @contextmanager
    def hire(make):
        crew = StandIn(make, hire.size, hire.deaths)
        hire.crews.append(crew)
        yield crew
        crew.close()

    hire.size, hire.deaths, hire.crews = 2, {}, []
    return hire


@pytest.fixture
def stand_in():
    """The class of stand-ins."""
    return StandIn
