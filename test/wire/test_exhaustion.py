"""Descriptors, connections, memory or disk used up; services at their worst: a clear answer, no spin, no leak, and all is well again
when there is room again."""
import os
import resource
import signal
import socket
import threading
import time

import pytest

from stage import names, process
from stage import service as acts
from stage.client import Client
from stage.gateway import wait_until
from stage.load import Load, ordinary

SPIN = 0.25                     # seconds of CPU in a second that would be a spin; what idles uses a hundredth


def cpu_ns(pid):
    """Time on a CPU so far, finer than the ticks of /proc/PID/stat."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0])


def assert_no_spin(*pids, seconds=1):
    before = {pid: cpu_ns(pid) for pid in pids}
    time.sleep(seconds)                    # a second of doing nothing is what is measured
    used = {process.title(pid): (cpu_ns(pid) - before[pid]) / 1e9 for pid in pids}
    assert all(s < SPIN * seconds for s in used.values()), used


def limit(pid, kind, soft):
    """The soft limit of a living process; returns what it was."""
    was = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, was[1]))
    return was


def few_descriptors(pid, more):
    """From now on this process may open `more` descriptors and not one beyond."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(len(used) + more + 1) if number not in used]
    limit(pid, resource.RLIMIT_NOFILE, free[more])       # the limit is of the number, not of how many there are


def unlimited(pid, kind=resource.RLIMIT_NOFILE):
    hard = resource.prlimit(pid, kind)[1]
    resource.prlimit(pid, kind, (hard, hard))


# Descriptors

def test_connections_beyond_the_descriptors_wait_and_are_served_when_there_are_some_again(stage):
    gw = stage.proxy(stage.service(), workers=1)
    worker, = gw.workers()
    few_descriptors(worker, 30)
    stands = gw.client()
    assert stands.get().status == 200
    crowd = [gw.client(timeout=30) for _ in range(100)]
    for c in crowd:
        c.ask()
    gw.wait_stderr("accepting nothing for a moment")
    assert stands.get().status == 200              # who is inside is served as ever
    answered = [c for c in crowd if not c.is_open() or c.source.held]
    for c in answered:
        assert c.answer().status in (200, 503)     # they sit on their connections now, and the others wait
    assert len(answered) < 100
    assert_no_spin(worker)
    for c in answered:
        c.close()
    rest = [c for c in crowd if c not in answered]
    for c in rest:                                 # each that is answered leaves and lets the next one in
        assert c.answer().status == 200
        c.close()
    assert gw.workers() == [worker] and gw.get().status == 200


def test_a_service_that_cannot_be_dialled_for_want_of_a_descriptor_is_503_at_once_and_says_so(stage):
    s = stage.service()
    gw = stage.gateway(workers=1, services=[stage.route(s, path="/u", name="u", middleware=["circuit_breaker"], cb_failure_threshold=2)])
    worker, = gw.workers()
    c = gw.client()
    assert c.get("/health").status == 200          # inside, without a link
    few_descriptors(worker, 0)
    begun = time.monotonic()
    for _ in range(5):
        answer = c.get("/u")
        assert answer.status == 503, answer
    assert time.monotonic() - begun < 3            # no waiting for the connect budget
    assert s.connections == 0
    assert_no_spin(worker)
    unlimited(worker)
    assert c.get("/u").status == 200               # and the breaker has not held it against the service
    assert {line["reason"] for line in gw.wait_records(7)} == {"ok", "overloaded"}


def test_a_full_worker_stands_in_for_a_dead_neighbour(stage):
    """It is given the neighbour's listening socket, as a descriptor, when it has room for none."""
    held = acts.gate("late")
    gw = stage.proxy(stage.service(answers=held), workers=2)
    inside = [gw.client() for _ in range(16)]
    for c in inside:
        c.ask()
    stage.services[0].wait_event("held", 16)
    one, other = gw.workers()
    few_descriptors(one, 0)
    mine = process.clients_of(one, gw.port)
    os.kill(other, signal.SIGKILL)
    gw.wait_workers(2, without=[other])
    assert one in gw.workers(), "it died of the order"
    held.open.set()
    survivors = [c for c in inside if c.sock.getsockname()[1] in mine]
    assert survivors and all(c.answer().text == "late" for c in survivors)


def test_a_full_worker_takes_a_reload(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.gateway(services=[stage.route(a)], workers=2)
    family = sorted(gw.family())
    for worker in gw.workers():
        few_descriptors(worker, 0)
    gw.reload(**{**gw.config, "services": [stage.route(a), stage.route(b, path="/b", name="b")]})
    for worker in gw.workers():
        unlimited(worker)
    assert gw.get("/b").text == "b" and sorted(gw.family()) == family


def test_a_master_without_descriptors_keeps_what_runs_and_mans_the_post_later(stage):
    gw = stage.proxy(stage.service(), workers=2, process={"rlimit_nofile": 1})      # what it has is enough: it asks for no more
    one, other = gw.workers()
    few_descriptors(gw.pid, 0)
    gw.signal(signal.SIGHUP)                       # cannot be rehearsed: the running configuration stays
    gw.wait_stderr("reload refused")
    assert gw.metrics().get(names.RELOAD_OK) == 0
    os.kill(other, signal.SIGKILL)                 # and what that frees is at once used up again
    gw.wait_stderr("killed by signal 9")
    assert [gw.get().status for _ in range(10)] == [200] * 10
    assert_no_spin(gw.pid, one)
    unlimited(gw.pid)
    gw.wait_workers(2, without=[other])
    gw.hup()
    assert gw.metrics().get(names.RELOAD_OK) == 1


# Connections

def test_beyond_max_connections_clients_wait_in_the_queue_and_are_served_in_time(stage):
    gw = stage.proxy(stage.service(), workers=1, process={"max_connections": 10})
    worker, = gw.workers()
    inside = [gw.client() for _ in range(10)]
    assert all(c.get().status == 200 for c in inside)
    waiting = [gw.client(timeout=20) for _ in range(30)]
    for c in waiting:
        c.ask()
    gw.wait_stderr("max_connections")
    assert_no_spin(worker)
    assert all(c.is_open() for c in waiting), "answered beyond the limit, or refused"
    assert all(c.get().status == 200 for c in inside)
    for c in inside:
        c.close()
    for c in waiting:
        assert c.answer().status == 200
        c.close()
    assert gw.get().status == 200


def test_max_connections_may_be_raised_by_a_reload_and_those_that_wait_get_in(stage):
    gw = stage.proxy(stage.service(), workers=1, process={"max_connections": 5})
    inside = [gw.client() for _ in range(5)]
    assert all(c.get().status == 200 for c in inside)
    waits = gw.client(timeout=20)
    waits.ask()
    gw.wait_stderr("max_connections")
    gw.reload(**{**gw.config, "process": {**gw.config["process"], "max_connections": 50}})
    assert waits.answer().status == 200 and all(c.get().status == 200 for c in inside)
