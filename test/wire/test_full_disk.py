"""Logs that nobody takes: a full disk, a file at its largest, a pipe whose reader pauses or leaves. Requests go on, and so does the log
when there is room again."""
import json
import os
import resource
import signal
import subprocess
import time

import pytest

from stage.client import Client
from stage.gateway import wait_until
from stage.resources import assert_no_spin, limit, settled, unlimited


@pytest.fixture
def small_disk(stage):
    """A place for 64 KiB."""
    directory = stage.new_dir()
    if os.geteuid() != 0 or subprocess.call(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "sluice-test", directory],
                                            stderr=subprocess.DEVNULL) != 0:
        pytest.skip("may not mount a small disk here")
    yield directory
    subprocess.call(["umount", "-l", directory])


def fill(directory):
    with open(os.path.join(directory, "filler"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"f" * 1024)
        except OSError:
            pass


def lost(gw):
    return gw.metrics().get("gateway_access_log_dropped_total") or 0


def asked_until(gw, ready, path="/" + "x" * 300, most=20000):
    """Ask for path on one connection until ready(); returns how often. Every answer is 200."""
    with Client(gw.address, timeout=10) as c:
        for n in range(0, most, 50):
            if ready():
                return n
            for _ in range(50):
                assert c.get(path).status == 200
    raise AssertionError(f"not after {most} requests")


def assert_log_recovers(gw, path, free):
    """The log is stuck, requests go on, lines are counted as lost; after free() new lines are there, each line is
    whole, and what was written and what was lost are together what was asked."""
    asked_until(gw, lambda: lost(gw) > 100)
    m = gw.metrics()
    assert m.get("gateway_access_log_stuck") == 1 and m.get("gateway_access_log_failures_total") > 0
    gw.wait_stderr("takes nothing")
    assert_no_spin(gw.caretaker(), *gw.workers())
    free()
    gw.wait_metric(lambda m: m.get("gateway_access_log_stuck") == 0)
    gw.get("/after")
    gw.wait_records(lambda lines: any(line["path"] == "/after" for line in lines), path=path)
    gw.wait_stderr("takes lines again; [0-9]+ were lost")
    m = gw.metrics()
    everything = m.get("gateway_records_written_total") + 1                # the page's own comes after it
    gw.wait_records(lambda lines: len(lines) + m.get("gateway_access_log_dropped_total") == everything, path=path)
    assert m.get("gateway_records_dropped_total") == 0


def test_a_full_disk_stops_nobody_and_the_log_goes_on_when_there_is_room(stage, small_disk):
    path = os.path.join(small_disk, "access.log")
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], workers=1, logging={"access": [{"to": "file:" + path}]})
    fill(small_disk)
    assert_log_recovers(gw, path, lambda: os.unlink(os.path.join(small_disk, "filler")))


def test_a_file_at_its_largest_size_kills_nobody(stage):
    """RLIMIT_FSIZE: write(2) fails with EFBIG, and SIGXFSZ would end the process."""
    gw = stage.proxy(stage.service(), workers=1)
    caretaker = gw.caretaker()
    limit(caretaker, resource.RLIMIT_FSIZE, 20000)
    assert_log_recovers(gw, gw.access_log, lambda: unlimited(caretaker, resource.RLIMIT_FSIZE))
    assert gw.caretaker() == caretaker


def test_a_log_that_is_always_full_costs_no_processor_and_no_request(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], workers=1, logging={"access": [{"to": "file:/dev/full"}]})
    asked_until(gw, lambda: lost(gw) > 500)
    assert gw.metrics().get("gateway_records_dropped_total") == 0
    assert_no_spin(gw.caretaker(), *gw.workers())


def piped(stage, **more):
    """A gateway whose access log is a pipe with a reader that has read nothing yet."""
    pipe = os.path.join(stage.new_dir(), "pipe")
    os.mkfifo(pipe)
    os.chmod(pipe, 0o666)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], workers=1, logging={"access": [{"to": "file:" + pipe}]}, **more)
    return gw, pipe, reader


def read_all(reader):
    data = b""
    try:
        while piece := os.read(reader, 1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_a_log_pipe_whose_reader_pauses_loses_lines_and_then_goes_on(stage):
    gw, _, reader = piped(stage)
    try:
        asked_until(gw, lambda: lost(gw) > 100)
        assert_no_spin(gw.caretaker(), *gw.workers())
        data = read_all(reader)

        def settled():
            nonlocal data
            data += read_all(reader)
            return gw.metrics().get("gateway_access_log_stuck") == 0
        wait_until(settled)
        gw.get("/after")
        wait_until(lambda: settled() and b'"/after"' in data)
        assert all(json.loads(line) for line in data.decode().splitlines()), "a torn line"
    finally:
        os.close(reader)


def test_a_log_pipe_whose_reader_goes_away_kills_nobody_and_another_may_come(stage):
    gw, pipe, reader = piped(stage)
    gw.get("/first")
    data = b""

    def first():
        nonlocal data
        data += read_all(reader)
        return b'"/first"' in data
    wait_until(first)
    family = sorted(gw.family())
    os.close(reader)
    asked_until(gw, lambda: lost(gw) > 100)
    assert sorted(gw.family()) == family
    assert_no_spin(gw.caretaker(), *gw.workers())
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        def settled():
            read_all(reader)
            return gw.metrics().get("gateway_access_log_stuck") == 0
        wait_until(settled)
        gw.get("/after")
        data = b""

        def after():
            nonlocal data
            data += read_all(reader)
            return b'"/after"' in data
        wait_until(after)
    finally:
        os.close(reader)


def test_a_log_that_is_stuck_does_not_hold_up_the_end(stage):
    gw, _, reader = piped(stage, shutdown={"grace": "10s"})
    try:
        asked_until(gw, lambda: lost(gw) > 0)
        begun = time.monotonic()
        assert gw.stop() == 0
        assert time.monotonic() - begun < 3
    finally:
        os.close(reader)


def test_an_error_log_on_a_full_disk_stops_nobody(stage, small_disk):
    fill(small_disk)
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], workers=2, logging={
        "access": [], "error": {"to": "file:" + os.path.join(small_disk, "error.log")}})
    for _ in range(3):
        gw.hup()                                   # has something to say
        assert gw.get().status == 200
    victim = gw.workers()[0]
    os.kill(victim, signal.SIGKILL)                # this, too
    gw.wait_workers(2, without=[victim])
    assert [gw.get().status for _ in range(10)] == [200] * 10
    os.unlink(os.path.join(small_disk, "filler"))
    gw.hup()
    assert "is running in all processes" in open(os.path.join(small_disk, "error.log")).read()
