"""What a gateway lives through in hours, in seconds: every kind of client and service at once, reloads every second, processes
killed now and then; and at the end the books are right and nothing has grown.

    LONG=600 /usr/bin/python3 -m pytest test/wire/test_long_run.py       # minutes instead of seconds
"""
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from stage import names, process
from stage import service as acts
from stage.client import Client
from stage.gateway import wait_until
from stage.load import Load, ordinary
from stage.wire import Truncated, request_bytes

SECONDS = float(os.environ.get("LONG", "18"))
LOST = (Truncated, ConnectionError)           # how a client notices that its worker died
UNLIMITED = {"rate_limit_rps": 1000000, "rate_limit_burst": 1000000}
PIPELINE = 8                                  # requests that one lost connection of Load may hold


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def requests_of(metrics, service):
    return metrics.get(names.S1_REQUESTS, service=service) or 0


# Processes killed

def test_who_waits_in_the_queue_of_a_worker_that_is_killed_is_served(stage):
    """The worker is stopped, so that it accepts nobody; then it is killed. Nothing was in flight in it: nothing is lost."""
    gw = stage.proxy(stage.service(answers="ok"), workers=2)
    for turn in range(4):
        victim = gw.workers()[turn % 2]
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: process.state(victim) == "T")
        clients = [gw.client(timeout=10) for _ in range(40)]
        for c in clients:
            c.ask()
        wait_until(lambda: any(not c.is_open() for c in clients))           # the other worker answers its share
        kill(victim)
        assert [c.answer().status for c in clients] == [200] * 40
        gw.wait_workers(2, without=[victim])


def test_a_probe_is_given_back_when_the_worker_that_made_it_is_killed(stage):
    """And only that one; the others live on and one of them probes at once."""
    s = stage.service(answers=500)
    gw = stage.proxy(s, workers=3, service={"middleware": ["circuit_breaker"], "cb_failure_threshold": 3, "cb_reset_timeout_seconds": 1})
    assert [gw.get().status for _ in range(4)] == [500, 500, 500, 503]
    s.answers(acts.gate("late"))
    probe = []

    def let_through():
        probe[:] = [gw.client()]
        probe[0].ask()
        wait_until(lambda: s.events.count("held") or not probe[0].is_open())
        return s.events.count("held")
    wait_until(let_through)
    port = probe[0].sock.getsockname()[1]
    holder, = (pid for pid in gw.workers() if port in process.clients_of(pid, gw.port))
    assert [gw.get().status for _ in range(12)] == [503] * 12
    s.answers("ok")
    kill(holder)
    wait_until(lambda: gw.get().status == 200, 5)                           # the lease alone would last as long as a request may
    assert s.seen == 5


def test_the_books_are_right_after_every_process_was_killed_in_turn(stage):
    """Counters never fall; what clients were answered was counted, and what was counted was asked, but for what was in flight."""
    gw = stage.proxy(stage.service(answers=ordinary), path="/u", workers=3, service={
        "middleware": ["metrics", "rate_limit", "circuit_breaker"], **UNLIMITED})
    watch = Watch(gw)
    with Load(gw, keep=4, once=2, may_fail=LOST) as load:
        for turn in range(2):
            for victim in [*gw.wait_workers(3), gw.caretaker()]:
                before = load.reconnects
                kill(victim)
                wait_until(lambda: len(gw.workers()) == 3 and gw.caretaker() and victim not in gw.family())
                watch.look()
                load.wait_more(20)
                assert load.reconnects - before <= 6, "more was lost than was in flight"
    assert not load.failures, load.failures[:5]
    m = watch.look()
    counted = requests_of(m, "u")
    # An answer is counted at the end of the turn that has sent it: who is killed in between has not counted it.
    assert load.done - 6 * 6 <= counted <= load.done + load.reconnects, (load.done, counted, load.reconnects)
    assert m.get(names.S3_COUNTER, service="u") == counted
    assert m.get(names.S3_BREAKER) == names.CLOSED
    gw.wait_metric(lambda m: m.get("gateway_requests_in_flight") <= 1)      # the page's own
    assert sum(value for labels, value in m.series(names.S1_REQUESTS, service="u") if labels["status"] != "200") <= load.reconnects


class Watch:
    """Looks at the metrics from time to time: what counts never falls."""

    def __init__(self, gw):
        self.gw, self.last, self.looks = gw, None, 0

    def look(self):
        m = wait_until(self._page, 10)
        m.check_histograms()
        if self.last:
            for (name, labels), was in self.last.samples.items():
                family = name if name in m.types else name.rsplit("_", 1)[0]
                now = m.samples.get((name, labels))
                if now is None and family.startswith("gateway_circuit_breaker_"):
                    continue                  # it goes with its service's breaker
                if m.types.get(family) in ("counter", "histogram"):
                    assert now is not None and now >= was, f"{name}{dict(labels)} fell from {was} to {now}"
        self.last, self.looks = m, self.looks + 1
        return m

    def _page(self):
        try:
            return self.gw.metrics()
        except LOST:                          # it was asked of a worker that was killed just then
            return None


# A long day

def moody(turn):
    """Good, bad and ugly in turns."""
    random.choice([acts.text("ok"), acts.text("ok"), acts.status(503), acts.raw(then="reset"), acts.raw(b"junk\r\n\r\n", then="close"),
                   acts.chunked(b"a", b"b" * 5000), acts.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then="close"),
                   acts.early(acts.answer_bytes(403, b"no", [("Connection", "close")])), acts.drip(b"slow", 0.05),
                   acts.flood(1 << 20)])(turn)


def of_all_kinds(gw, ending):
    """Clients that send nonsense, read slowly, leave in the middle; none of them asks for /u, so that its books stay clear."""
    while not ending.is_set():
        try:
            with Client(gw.address, timeout=5, receive_buffer=random.choice([None, 4096])) as c:
                kind = random.randrange(8)
                if kind == 0:
                    c.send(b"GET /moody HTTP/1.1\r\nHost : x\r\n\r\n")
                    c.cut()
                elif kind == 1:
                    c.ask("GET", "/moody")
                    c.reset()
                elif kind == 2:
                    c.send(b"POST /moody HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
                elif kind == 3:
                    c.send(request_bytes("GET", "/moody") * 5)
                    c.reset()
                elif kind == 4:
                    c.post("/moody", b"p" * 200000)
                elif kind == 5:
                    c.drip(b"GET /moody HTTP/1.1\r\nHost: a\r\n\r\n")
                    c.answer()
                elif kind == 6:
                    c.ask("GET", "/moody")
                    piece = next(c.body(c.head()), None)           # a piece, a while, and away
                    ending.wait(0.1 if piece else 0)
                else:
                    c.get(f"/x{random.randrange(10)}")
        except (OSError, AssertionError):
            pass


def witness_of(gw):
    """The worker that is never killed: what it has lived through it must not have kept."""
    return next(pid for pid in gw.workers() if process.title(pid).endswith("worker 0"))


def sizes(pids):
    return {process.title(pid).split(" /")[0]: process.rss(pid) for pid in pids}


def test_mixed_load_with_reloads_and_deaths_leaves_nothing_behind(stage):
    signal.alarm(int(SECONDS) + 100)
    good, bad = stage.service(answers=ordinary), stage.service(answers=moody)
    steps = ["rate_limit", "circuit_breaker", "metrics"]
    base = [stage.route(good, path="/u", name="u", middleware=steps, **UNLIMITED),
            stage.route(bad, bad, path="/moody", name="moody", middleware=["metrics"], timeouts={"upstream_header": "2s"})]
    gw = stage.gateway(workers=2, services=base)
    keepers = [gw.pid, witness_of(gw)]
    at_rest = {pid: process.descriptors(pid) for pid in keepers}
    watch, ending = Watch(gw), threading.Event()
    threads = [threading.Thread(target=of_all_kinds, args=(gw, ending), daemon=True) for _ in range(3)]
    reloads, deaths, died = 0, 0, time.monotonic()
    between = min(SECONDS / 8, 16)                    # in a long run each lives long enough not to be thought unfit to live
    warm, warm_shm, end = None, 0, time.monotonic() + SECONDS
    with Load(gw, keep=2, once=1, pipeline=1, upload=1, download=1, may_fail=LOST) as load:
        for thread in threads:
            thread.start()
        while (left := end - time.monotonic()) > 0:
            ending.wait(0.5)
            entries = base + [stage.route(good, path=f"/x{n}", name=f"x{n}", middleware=steps)
                              for n in range(10) if (n + reloads) % 3]      # some come, some go, some change
            entries[-1]["rate_limit_rps"] = 100 + reloads % 7
            gw.reload(**{**gw.config, "services": entries})
            reloads += 1
            if time.monotonic() - died > between:
                kill(gw.caretaker() if deaths % 2 else next(pid for pid in gw.workers() if pid not in keepers))
                died, deaths = time.monotonic(), deaths + 1
                wait_until(lambda: len(gw.workers()) == 2 and gw.caretaker(), 15)
            m = watch.look()
            if warm is None and left < SECONDS * 0.6:
                warm, warm_shm = sizes(keepers), m.get("gateway_shm_resident_bytes")
        after = sizes(keepers)
        ending.set()
        for thread in threads:
            thread.join(20)
    assert not load.failures, load.failures[:5]
    assert all(process.alive(pid) for pid in keepers) and reloads > 3 and deaths > 0
    most = 8 << 20 if "debug" in os.path.realpath(f"/proc/{gw.pid}/exe") else 3 << 20
    grown = {who: after[who] - warm[who] for who in warm}
    print(f"{SECONDS:.0f} s: {load.done} answered, {load.reconnects} lost, {reloads} reloads, {deaths} deaths; RSS {after}, grown by {grown}")
    assert all(by < most for by in grown.values()), (warm, after)
    m = watch.look()
    assert m.get("gateway_shm_resident_bytes") < warm_shm * 1.25 + (1 << 20), (warm_shm, m.get("gateway_shm_resident_bytes"))
    counted = requests_of(m, "u")
    in_flight = deaths * (5 + PIPELINE)               # what the books may be wrong by
    assert load.done - in_flight <= counted <= load.done + PIPELINE * load.reconnects, (load.done, counted, load.reconnects)
    # What is open is what idles: all clients are gone, only links to services remain.
    wait_until(lambda: process.descriptors(gw.pid) <= at_rest[gw.pid] and process.descriptors(keepers[1]) - at_rest[keepers[1]] < 40,
               explain=lambda: [(was, process.descriptors(pid)) for pid, was in at_rest.items()])
    wait_until(lambda: watch.look().get("gateway_requests_in_flight") <= 1)


# Reloads

def test_100_reloads_under_every_load_generator_at_once_and_with_requests_that_stand_still(stage):
    missing = [tool for tool in ("hey", "ab", "wrk") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {missing}")
    held = acts.gate("late")
    s, slow, other = stage.service(answers=ordinary), stage.service(answers=held), stage.service(answers="o")
    large = stage.service(answers=acts.flood(20 << 20))
    steps = {"middleware": ["metrics", "rate_limit", "circuit_breaker"], **UNLIMITED}
    base = [stage.route(s, path="/u", name="u", **steps), stage.route(slow, path="/slow", name="slow"), stage.route(large, path="/large", name="large")]
    gw = stage.gateway(workers=2, services=base)
    family = sorted(gw.family())
    idle = [gw.client() for _ in range(10)]
    assert all(c.get("/u").status == 200 for c in idle)
    in_head = gw.raw(b"GET /u HTTP/1.1\r\nHo")
    in_upload, in_download, in_wait = gw.client(), gw.client(receive_buffer=8192), gw.client()
    in_upload.ask("POST", "/u", {"Content-Length": "200000"})
    in_download.ask("GET", "/large")
    pieces = in_download.body(in_download.head())
    got = len(next(pieces))
    in_wait.ask("GET", "/slow")
    slow.wait_event("held")
    url = f"http://127.0.0.1:{gw.port}/u"
    seconds = "5"
    running = {name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for name, command in {
        "hey": ["hey", "-z", seconds + "s", "-c", "8", url], "ab": ["ab", "-q", "-k", "-n", "4000", "-c", "8", url],
        "wrk": ["wrk", "-t1", "-c8", f"-d{seconds}s", url]}.items()}
    watch, sizes_at, under_load = Watch(gw), {}, 0
    for turn in range(100):
        under_load += running["hey"].poll() is None
        entries = list(base) if turn % 4 else base[:2]                 # the one being downloaded from goes and comes
        entries += [stage.route(other, path=f"/x{n}", name=f"x{n}", **steps) for n in range(turn % 3)]
        entries[0] = {**entries[0], "timeouts": {"upstream_header": f"{20 + turn % 5}s"}}
        gw.reload(**{**gw.config, "services": entries})
        in_upload.send(b"u" * 2000)
        got += len(next(pieces))
        if turn in (30, 99):
            sizes_at[turn] = sizes([gw.pid, *family])
        if turn % 10 == 0:
            watch.look()
    said = {name: tool.communicate(timeout=60)[0] for name, tool in running.items()}
    assert under_load > 20, "the load was over before the reloads were"
    assert "Error distribution" not in said["hey"] and re.findall(r"\[(\d+)\]\t\d+ responses", said["hey"]) == ["200"], said["hey"]
    assert "Failed requests:        0" in said["ab"] and "Non-2xx" not in said["ab"], said["ab"]
    assert "Socket errors" not in said["wrk"] and "Non-2xx" not in said["wrk"], said["wrk"]
    in_head.send(b"st: a\r\n\r\n")
    held.open.set()
    assert (in_head.answer().text, in_upload.answer().text, in_wait.answer().text) == ("ok", "ok", "late")
    assert got + sum(map(len, pieces)) == 20 << 20
    assert all(c.is_open() for c in idle) and all(c.get("/u").status == 200 for c in idle)
    assert sorted(gw.family()) == family
    most = 8 << 20 if "debug" in os.path.realpath(f"/proc/{gw.pid}/exe") else 3 << 20
    assert all(sizes_at[99][who] - sizes_at[30][who] < most for who in sizes_at[30]), sizes_at
    m = watch.look()
    refused = {labels["status"] for labels, value in m.series(names.S1_REQUESTS, service="u") if value} - {"200", "499"}
    assert not refused and m.get(names.RELOADS_FAILED) == 0 and m.get(names.GENERATION) == 101, refused


# Processes that hang

def test_a_caretaker_that_hangs_costs_records_and_no_request(stage):
    gw = stage.proxy(stage.service(answers="ok"), workers=1)
    caretaker = gw.caretaker()
    os.kill(caretaker, signal.SIGSTOP)
    try:
        with gw.client() as c:
            dropped = 0
            for _ in range(200):
                for _ in range(100):
                    assert c.get("/" + "x" * 1500).status == 200
                dropped = gw.metrics().get(names.RECORDS_DROPPED)
                if dropped > 100:
                    break
        assert dropped > 100, "a ring without end"
        before = len(gw.records())
    finally:
        os.kill(caretaker, signal.SIGCONT)
    gw.wait_records(lambda lines: len(lines) > before)    # so there is room again
    gw.get("/after")
    gw.wait_records(lambda lines: any(line["path"] == "/after" for line in lines))
    m = gw.metrics()
    # Nothing beyond what was counted as dropped is missing: the last page's own record comes after it.
    gw.wait_records(lambda lines: len(lines) == m.get("gateway_records_written_total") + 1)
    assert m.get("gateway_records_broken_total") == 0 and gw.caretaker() == caretaker


def test_a_master_that_hangs_holds_up_no_request(stage):
    gw = stage.proxy(stage.service(answers=ordinary), path="/u", workers=2)
    with Load(gw, keep=2, once=2) as load:
        os.kill(gw.pid, signal.SIGSTOP)
        try:
            load.wait_more(300)
        finally:
            os.kill(gw.pid, signal.SIGCONT)
        gw.hup()
        load.wait_more(50)
    assert not load.failures
