"""Processes: how many, on which CPUs, and what the service manager hears."""
import os

import pytest

from stage import process


@pytest.fixture
def on_one_cpu():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield min(before)
    os.sched_setaffinity(0, before)


def test_auto_is_one_worker_for_each_cpu_that_is_allowed(stage):
    gw = stage.proxy(stage.service(), workers="auto")
    assert 1 <= len(gw.workers()) <= len(os.sched_getaffinity(0))


def test_auto_respects_the_affinity_mask(stage, on_one_cpu):
    gw = stage.proxy(stage.service(), workers="auto", process={"cpu_affinity": "auto"})
    assert len(gw.workers()) == 1 and os.sched_getaffinity(gw.workers()[0]) == {on_one_cpu}


def test_workers_are_pinned_to_cpus_of_their_own(stage):
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        pytest.skip("one CPU only")
    gw = stage.proxy(stage.service(), workers=2, process={"cpu_affinity": "auto"})
    masks = [os.sched_getaffinity(pid) for pid in gw.workers()]
    assert all(len(mask) == 1 for mask in masks) and masks[0] != masks[1], masks


def test_unpinned_workers_float(stage):
    gw = stage.proxy(stage.service(), workers=2, process={"cpu_affinity": "none"})
    assert all(os.sched_getaffinity(pid) == os.sched_getaffinity(0) for pid in gw.workers())


def test_workers_share_the_connections(stage):
    """Many connections meet every worker: each has sockets of clients."""
    gw = stage.proxy(stage.service(), workers=4)
    idle = {pid: process.descriptors(pid) for pid in gw.workers()}
    clients = [gw.client() for _ in range(100)]
    assert all(c.get().status == 200 for c in clients)
    assert all(process.descriptors(pid) > idle[pid] for pid in gw.workers())


def test_max_connections_is_a_limit_and_not_an_end(stage):
    gw = stage.proxy(stage.service(), workers=1, process={"max_connections": 20})
    clients = [gw.client(timeout=5) for _ in range(20)]
    assert all(c.get().status == 200 for c in clients)
    late = gw.client(timeout=5)
    late.ask()
    for c in clients[:10]:
        c.close()
    try:
        status = late.answer().status
    except (OSError, AssertionError):
        status = None                                        # turned away is an answer too
    assert status in (None, 200, 503)
    assert gw.get().status == 200
    assert all(c.get().status == 200 for c in clients[10:])


def test_the_service_manager_hears_that_it_lives(stage):
    gw = stage.proxy(stage.service(), environment={"WATCHDOG_USEC": "400000"})
    gw.wait_notified("WATCHDOG=1", 3)


def test_the_service_manager_hears_of_a_reload_in_order(stage):
    gw = stage.proxy(stage.service())
    said = len(gw.notify.heard())
    gw.hup()
    words = gw.notify.heard()[said:]
    assert words.index("RELOADING=1") < words.index("READY=1")
    assert any(word.startswith("MONOTONIC_USEC=") for word in words)


def test_idle_it_costs_nothing(stage):
    gw = stage.proxy(stage.service(), workers=2)
    assert gw.get().status == 200
    family = [gw.pid, *gw.family()]
    before = sum(process.cpu_seconds(pid) for pid in family)
    gw.notify.wait("NEVER=1", 1)                             # a second of nothing
    assert sum(process.cpu_seconds(pid) for pid in family) - before <= 0.08
