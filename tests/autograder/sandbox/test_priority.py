"""Who shares a machine with a submission is slowed by it as by one more program at most, and by less than that."""

import os
import socket
import time

import pytest

from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox
from autograder.sandbox.worker import priority

WEIGHTS = dict(
    zip(
        range(20),
        (1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15),
    )
)
"""`sched_prio_to_weight` of the Linux kernel from nice 0 on; 3 is the weight of SCHED_IDLE."""


@pytest.mark.parametrize("judge", [0, 3])
def test_however_many_threads_a_submission_has_they_weigh_less_than_one_quiet_one(judge, monkeypatch):
    monkeypatch.setattr(os, "getpriority", lambda *_: judge)
    quiet = priority.niceness(1, priority.base())
    assert quiet == priority.base() > judge
    for busy in range(2, Limits().processes + 9):
        found = priority.niceness(busy, quiet)
        assert busy * (3 if found == priority.IDLE else WEIGHTS[found]) < WEIGHTS[quiet]


HOG = """
import os, time
for _ in range(44):
    if os.fork() == 0:
        os.setsid()
        while True: pass
while True: pass
"""

WORK = "while True: pass"


@pytest.fixture
def one_processor():
    """All that is started meanwhile shares one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.xdist_group("sandbox")
@pytest.mark.usefixtures("sandbox")
def test_a_hog_takes_less_of_a_processor_than_a_quiet_neighbour(one_processor, request):
    """Of the time that both were given together; how much a busy machine gives to both does not matter."""
    if os.getpriority(os.PRIO_PROCESS, 0) > 3:
        pytest.skip("this process has so low a priority that what it starts can hardly have a lower one")
    owner = Sandbox()
    request.addfinalizer(owner.close)
    if owner.level != "namespaces" or "seccomp" not in owner.walls:
        pytest.skip("submissions share no zygote here, or libseccomp is not installed")
    ours, theirs = socket.socketpair()
    owner.share(theirs)
    other = Sandbox(control=ours)
    request.addfinalizer(other.close)
    owner.start()._say({"do": "cell", "source": HOG})
    other.start()._say({"do": "cell", "source": WORK})
    until(lambda: owner.used(0.0)[0] > 0.4)  # by then the hog has been seen
    hog, neighbour = owner.used(0.0)[0], other.used(0.0)[0]
    until(lambda: other.used(0.0)[0] > neighbour + 0.6)
    taken, given = owner.used(0.0)[0] - hog, other.used(0.0)[0] - neighbour
    assert taken < given, (taken, given)


def until(condition):
    """Wait for it, however busy the machine is, but not for ever."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.05)
    pytest.skip("the machine is too busy to give a program a processor for a second")
