"""Bodies stream both ways under back pressure: what one side does not take, the other is not allowed to send."""
import hashlib
import threading

import pytest

from stage import process
from stage import service as acts
from stage.gateway import wait_until

MIB = 1 << 20
BLOCK = bytes(range(256)) * 256
GROWTH = 24 * MIB                # of all processes of the gateway under ASan, whatever passes through


@pytest.fixture
def big(stage):
    """A gateway that lets 1 GiB through."""
    def make(behind, **more):
        return stage.proxy(behind, limits={"body_size": "1g"}, workers=1, **more)
    return make


def digest_of(size):
    digest = hashlib.sha256()
    left = size
    while left:
        digest.update(BLOCK[:left])
        left -= min(left, len(BLOCK))
    return digest.hexdigest()


def test_100_mib_down_arrive_unchanged_in_flat_memory(stage, big):
    size = 100 * MIB
    s = stage.service(answers=acts.flood(size, block=BLOCK))
    gw = big(s)
    before = gw.rss()
    c = gw.client(timeout=30)
    c.ask("GET", "/")
    digest = hashlib.sha256()
    for piece in c.body(c.head()):
        digest.update(piece)
    assert digest.hexdigest() == digest_of(size)
    assert gw.rss() - before < GROWTH


def test_100_mib_up_arrive_unchanged_in_flat_memory(stage, big):
    size = 100 * MIB
    s = stage.service(answers="taken")
    gw = big(s)
    before = gw.rss()
    c = gw.client(timeout=30)
    c.ask("POST", "/", {"Content-Length": str(size)})
    for _ in range(size // len(BLOCK)):
        c.send(BLOCK)
    assert c.answer().text == "taken"
    assert (s.last.size, s.last.sha256) == (size, digest_of(size))
    assert gw.rss() - before < GROWTH


def test_chunked_both_ways_arrive_unchanged(stage, big):
    s = stage.service(answers=lambda turn: (turn.read_body(), acts.chunked(*[BLOCK] * 160)(turn)))
    gw = big(s)
    c = gw.client(timeout=30)
    uploader = threading.Thread(target=lambda: c.ask("POST", "/", chunks=[BLOCK[:n * 97 % 65536 + 1] for n in range(300)]))
    uploader.start()
    answer = c.answer()
    uploader.join()
    expected = b"".join(BLOCK[:n * 97 % 65536 + 1] for n in range(300))
    assert s.last.size == len(expected) and s.last.sha256 == hashlib.sha256(expected).hexdigest()
    assert answer.body == BLOCK * 160


def test_a_client_that_does_not_read_stops_the_service(stage, big):
    size = 200 * MIB
    s = stage.service(answers=acts.flood(size))
    gw = big(s)
    before = gw.rss()
    c = gw.client(receive_buffer=8192)
    c.ask("GET", "/")
    s.wait_seen(1)
    stands_still(s)
    assert s.sent < 32 * MIB                        # kernel buffers and ours, not the body
    assert gw.rss() - before < GROWTH
    read = sum(len(piece) for piece in c.body(c.head()))       # and it is not forgotten
    assert read == size


def stands_still(s):
    """Wait until what the service has sent does not grow any more for a quarter of a second."""
    seen = {"sent": -1, "looks": 0}

    def still():
        now = getattr(s, "sent", 0)
        seen["looks"] = seen["looks"] + 1 if now == seen["sent"] and now else 0
        seen["sent"] = now
        return seen["looks"] >= 50
    wait_until(still)


def test_a_service_that_does_not_read_stops_the_client(stage, big):
    release = threading.Event()

    def lazy(turn):
        turn.service.note("held")
        turn.service.gates.append(release)
        release.wait(30)
        acts.text("read at last")(turn)

    s = stage.service(answers=lazy)
    gw = big(s)
    before = gw.rss()
    c = gw.client(timeout=1)
    size = 200 * MIB
    c.ask("POST", "/", {"Content-Length": str(size)})
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < size:
            sent += c.sock.send(BLOCK)
    assert sent < 32 * MIB
    assert gw.rss() - before < GROWTH
    release.set()
    c.sock.settimeout(20)
    while sent < size:
        piece = BLOCK[:size - sent]
        sent += c.sock.send(piece)
    assert c.answer().text == "read at last" and s.last.size == size


def test_many_stuck_downloads_cost_little(stage, big):
    s = stage.service(answers=acts.flood(50 * MIB))
    gw = big(s)
    before = gw.rss()
    clients = [gw.client(receive_buffer=4096) for _ in range(50)]
    for c in clients:
        c.ask("GET", "/")
    s.wait_seen(50)
    stands_still(s)
    assert gw.rss() - before < 60 * MIB             # about 1 MiB each, not 50
    with gw.client() as other:                      # and nobody else waits for them
        s.answers("ok")
        assert other.get("/").text == "ok"


def test_a_client_that_leaves_in_mid_download_releases_the_service(stage, big):
    s = stage.service(answers=acts.flood(1024 * MIB))
    gw = big(s)
    for leave in ("close", "reset"):
        c = gw.client()
        c.ask("GET", "/")
        next(iter(c.body(c.head())))
        getattr(c, leave)()
        s.wait(lambda s: not s.open)
    assert gw.wait_records(2)[0]["reason"] == "client_gone"


def test_a_client_that_leaves_in_mid_upload_releases_the_service(stage, big):
    s = stage.service(answers="never")
    gw = big(s)
    for leave in ("close", "reset"):
        c = gw.client()
        c.ask("POST", "/", {"Content-Length": "1000000"})
        c.send(b"x" * 1000)
        s.wait(lambda s: s.open)
        getattr(c, leave)()
        s.wait(lambda s: not s.open)
    assert all(not r.complete for r in s.requests)


def test_a_client_that_leaves_while_it_waits_releases_the_service_and_is_counted(stage, big):
    s = stage.service(answers=acts.hang)
    gw = big(s, service={"middleware": ["metrics"]})
    for _ in range(3):
        c = gw.client()
        c.ask("GET", "/")
        s.wait(lambda s: s.open)
        c.close()
        s.wait(lambda s: not s.open)
    assert {r["reason"] for r in gw.wait_records(3)[:3]} == {"client_gone"}
    gw.wait_metric(lambda m: m.get("gateway_proxy_canceled_total") == 3)


def test_a_stuck_client_costs_no_cpu(stage, big):
    s = stage.service(answers=acts.flood(100 * MIB))
    gw = big(s)
    c = gw.client(receive_buffer=4096)
    c.ask("GET", "/")
    s.wait_seen(1)
    stands_still(s)
    worker, = gw.workers()
    before = process.cpu_seconds(worker)
    stands_still(s)
    assert process.cpu_seconds(worker) - before <= 0.1


def test_trailers_after_a_large_body(stage, big):
    s = stage.service(answers=acts.chunked(*[BLOCK] * 64, trailers=[("X-End", "yes")]))
    gw = big(s)
    answer = gw.get("/", {"TE": "trailers", "Connection": "TE"})
    assert len(answer.body) == 64 * len(BLOCK) and answer.trailers["X-End"] == "yes"


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 262143, 262144, 262145])
def test_no_size_is_special(shared, size):
    if not shared.services:
        s = shared.service(answers=acts.echo)
        shared.proxy(s, workers=1)
    s, gw = shared.services[0], shared.gateways[0]
    body = (BLOCK * 5)[:size]
    with gw.client() as c:
        for counted in (True, False):
            answer = c.post("/", body) if counted else c.request("POST", "/", chunks=[body] if body else [])
            assert s.last.body == body
            assert answer.body == s.last.head + body


def test_a_client_that_pipelines_and_never_reads_is_stopped(stage, big):
    s = stage.service(answers=acts.text("x" * 20000))
    gw = big(s)
    before = gw.rss()
    c = gw.client(timeout=1, receive_buffer=4096)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 64 * MIB:
            sent += c.sock.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n" * 500)
    assert s.seen < 5000                            # what fits in buffers, not what was asked
    assert gw.rss() - before < GROWTH
    assert gw.get().status == 200


def test_many_uploads_that_stop_cost_little(stage, big):
    s = stage.service()
    gw = big(s)
    before = gw.rss()
    clients = [gw.client() for _ in range(100)]
    for c in clients:
        c.ask("POST", "/", {"Content-Length": str(MIB)})
        c.send(BLOCK * 2)
    s.wait_seen(100)
    assert gw.rss() - before < 60 * MIB
    assert gw.get().status == 200
