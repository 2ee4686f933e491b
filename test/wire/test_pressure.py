"""Peers that push: answers nobody reads, requests nobody asked for, ends in the middle. No worker falls over it."""
import threading

from stage import service as acts
from stage.gateway import wait_until

CHUNKED = acts.chunked(b"one", b"two")


def test_answers_without_a_body_that_nobody_reads_stop_the_requests_behind_them(stage):
    large = [("X-Large-%d" % n, "a" * 7000) for n in range(4)]
    s = stage.service(answers=acts.text("", headers=large))
    gw = stage.proxy(s, workers=1)
    before = gw.workers()
    count = 1000
    c = gw.client(receive_buffer=4096, timeout=30)
    c.send(b"HEAD /u HTTP/1.1\r\nHost: a\r\n\r\n" * count)
    seen = [-1]
    wait_until(lambda: s.seen > 50 and seen.append(s.seen) is None and len(set(seen[-100:])) == 1)
    assert s.seen < count and gw.get("/u").status == 200
    for _ in range(count):
        assert c.answer("HEAD").status == 200
    assert s.seen == count + 1 and gw.workers() == before


def test_many_large_early_answers_kill_no_worker(stage):
    early = b"HTTP/1.1 103 Early Hints\r\n" + b"".join(b"Link: %s\r\n" % (b"a" * 7000) for _ in range(8)) + b"\r\n"
    s = stage.service(answers=acts.raw(early * 14 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    gw = stage.proxy(s, workers=1)
    before = gw.workers()
    c = gw.client(timeout=10)
    c.ask()
    statuses = []
    while not statuses or statuses[-1] == 103:
        statuses.append(c.head().status)
    assert statuses[-1] == 200
    assert gw.workers() == before


def test_an_error_behind_a_chunked_answer_is_framed_for_itself(stage):
    gw = stage.proxy(stage.service(answers=CHUNKED), workers=1)
    with gw.client() as c:
        assert c.get().body == b"onetwo"
        c.send(b"not a head at all\r\n\r\n")
        answer = c.answer()
        assert answer.status == 400 and b"\r\n" not in answer.body
        assert c.closed()


def test_a_refusal_reaches_a_client_that_was_stuck_in_its_upload(stage):
    answer = acts.gate(acts.early(acts.answer_bytes(403, b"no")))

    def refuse_without_reading(turn):
        turn.read_body = lambda: None
        answer(turn)
    s = stage.service(answers=refuse_without_reading)
    gw = stage.proxy(s, workers=1, limits={"body_size": "1g"})
    body = b"x" * (40 << 20)
    c = gw.client(timeout=20)
    c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    left = [-1]

    def open_when_stuck():
        wait_until(lambda: left.append(c.unsent()) is None and left[-1] > 0 and len(set(left[-50:])) == 1)
        answer.open.set()
    opener = threading.Thread(target=open_when_stuck)
    opener.start()
    c.send(body)                        # to the end, whatever is said meanwhile
    assert c.answer().status == 403
    opener.join()


def test_the_end_of_a_worker_waits_for_no_lingering_connection_and_dies_of_none(stage):
    gw = stage.gateway(services=[], workers=1)
    c = gw.client()
    c.send(b"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    assert c.answer().status == 404
    assert gw.stop() == 0 and "killed" not in gw.stderr()
