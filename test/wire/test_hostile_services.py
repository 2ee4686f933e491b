"""A service that lies, dies or talks nonsense: 502 or a cut connection, never a confused next answer."""
import time

import pytest

from stage import names, process
from stage import service as acts
from stage import wire
from stage.gateway import wait_until

OK = b"HTTP/1.1 200 OK\r\n"
BAD_HEADS = {
    "junk": b"this is not HTTP\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare LF in a field": OK + b"X: a\nContent-Length: 2\r\n\r\nok",
    "CR alone in a field": OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "obs-fold": OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "space before the colon": OK + b"Content-Length : 2\r\n\r\nok",
    "no colon": OK + b"Content-Length 2\r\n\r\nok",
    "no name": OK + b": 2\r\nContent-Length: 2\r\n\r\nok",
    "NUL in a value": OK + b"X: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "control character in a value": OK + b"X: a\x08b\r\nContent-Length: 2\r\n\r\nok",
    "length and coding": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths that differ": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "a list of lengths that differ": OK + b"Content-Length: 2, 3\r\n\r\nokk",
    "negative length": OK + b"Content-Length: -2\r\n\r\nok",
    "length with a plus": OK + b"Content-Length: +2\r\n\r\nok",
    "length in words": OK + b"Content-Length: two\r\n\r\nok",
    "length too large": OK + b"Content-Length: 99999999999999999999\r\n\r\nok",
    "unknown coding": OK + b"Transfer-Encoding: gzip, rot13\r\n\r\nok",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "status in letters": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
    "other version": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "small http": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9": b"<html>hello</html>",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nframes",
    "endless head": OK + b"X: " + b"a" * 300000,
    "endless fields": OK + b"".join(b"X-%d: a\r\n" % n for n in range(20000)),
    "endless status line": b"HTTP/1.1 200 " + b"a" * 300000,
}


@pytest.fixture(scope="module")
def play(shared):
    s = shared.service()
    gw = shared.proxy(s, workers=1, timeouts={"upstream_header": "1s", "upstream_idle_read": "1s"})
    gw.service = s
    return gw


@pytest.mark.parametrize("case", BAD_HEADS, ids=[case.replace(" ", "-") for case in BAD_HEADS])
def test_a_bad_head_is_502_and_the_client_goes_on(play, case):
    play.service.answers(acts.raw(BAD_HEADS[case], then="close"))
    with play.client() as c:
        answer = c.get()
        assert answer.status == 502, answer
        assert b"Set-Cookie" not in answer.head and b"frames" not in answer.body
        play.service.answers("next")
        assert c.get().text == "next"


def test_reset_instead_of_an_answer_is_502(play):
    play.service.answers(acts.raw(then="reset"))
    with play.client() as c:
        assert c.get().status == 502
        play.service.answers("next")
        assert c.get().text == "next"


BAD_BODIES = {
    "shorter than it said": OK + b"Content-Length: 100\r\n\r\nshort",
    "chunked and cut": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunked and cut in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello",
    "chunk size not hexadecimal": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
    "chunk longer than it said": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello there\r\n0\r\n\r\n",
    "chunk size that overflows": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nfffffffffffffffff\r\n",
    "bare LF behind a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
    "endless trailer": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: " + b"a" * 300000,
    "trailer that is none": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nno colon\r\n\r\n",
}


@pytest.mark.parametrize("case", BAD_BODIES, ids=[case.replace(" ", "-") for case in BAD_BODIES])
def test_a_bad_body_is_never_ended_as_if_it_were_whole(play, case):
    play.service.answers(acts.raw(BAD_BODIES[case], then="close"))
    with play.client() as c:
        try:
            answer = c.get()
            assert answer.status == 502, "a broken answer was passed as a whole one"
        except (wire.Truncated, ConnectionResetError):
            pass
    play.service.answers("next")
    assert play.get().text == "next"


def test_the_log_says_that_the_service_cut_it(stage):
    s = stage.service(answers=acts.raw(OK + b"Content-Length: 100\r\n\r\nshort", then="close"))
    gw = stage.proxy(s)
    with gw.client() as c:
        c.ask()
        c.cut()
    assert gw.wait_records()[0]["reason"] == names.TRUNCATED


def test_bytes_behind_an_answer_are_never_the_next_one(stage):
    s = stage.service(answers=[acts.raw(acts.answer_bytes(200, b"one") + acts.answer_bytes(200, b"poison")), "two"])
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert c.get().text == "one"
        assert c.is_open()
        assert [c.get().text for _ in range(3)] == ["two"] * 3


def test_an_answer_that_comes_unasked_poisons_nobody(stage):
    """While a link is idle the service pushes an answer into it."""
    def act(turn):
        acts.text("mine")(turn)
        turn.send(acts.answer_bytes(200, b"poison"))
        turn.service.note("pushed")
    s = stage.service(answers=act)
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        for turn in range(1, 30):
            assert c.get().text == "mine"
            s.wait_event("pushed", turn)          # it is in the link before the next request is made


def test_a_body_for_head_poisons_nobody(stage):
    def act(turn):
        turn.read_body()
        turn.send(acts.answer_bytes(200, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"))
    s = stage.service(answers=act)
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert c.request("HEAD", "/").body == b""
        s.answers("clean")
        assert c.get().text == "clean"


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be_poisons_nobody(stage, status):
    s = stage.service(answers=[acts.raw(b"HTTP/1.1 %d X\r\nContent-Length: 6\r\n\r\npoison" % status), "clean"])
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert c.get().status in (status, 502)
        assert c.get().text == "clean"


def test_an_answer_before_the_request_was_sent_is_not_believed(stage):
    """A service that speaks first."""
    s = stage.service(answers="asked")
    accept = s._serve

    def speaks_first(sock, number):
        sock.sendall(acts.answer_bytes(200, b"unasked"))
        accept(sock, number)
    s._serve = speaks_first
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        for _ in range(5):
            assert c.get().status in (200, 502)
            assert c.is_open()


def test_many_interim_answers_are_bounded(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100000, then="close"))
    gw = stage.proxy(s, workers=1)
    before = gw.rss()
    with gw.client() as c:
        try:
            assert c.get().status == 502
        except (wire.Truncated, ConnectionResetError):
            pass                                  # after so many heads on their way it may be cut, too
    assert gw.rss() - before < 16 << 20
    s.answers("ok")
    assert gw.get().text == "ok"


def test_a_large_but_allowed_head_passes(stage):
    s = stage.service(answers=acts.text("ok", headers=[(f"X-{n}", "v" * 200) for n in range(60)]))
    answer = stage.proxy(s).get()
    assert answer.text == "ok" and answer.headers["X-59"] == "v" * 200


def test_a_service_that_answers_and_resets_loses_nothing_that_it_said(stage):
    s = stage.service(answers=acts.raw(acts.answer_bytes(200, b"whole"), then="reset"))
    gw = stage.proxy(s, workers=1)
    for _ in range(20):
        answer = gw.get()
        assert answer.status in (200, 502)
        assert answer.status == 502 or answer.text == "whole"


def test_a_name_that_does_not_resolve_is_502_and_hurts_nobody(stage):
    s = stage.service()
    gw = stage.gateway(services=[dict(name="lost", route_pattern="/lost", urls=["http://no-such-host.invalid:80"]), stage.route(s, path="/u")])
    assert gw.get("/u").status == 200
    assert gw.get("/lost").status in (502, 503)


def test_hanging_services_do_not_hold_up_the_others(stage):
    hangs, good = stage.service(answers=acts.hang), stage.service(answers="ok")
    gw = stage.gateway(services=[stage.route(hangs, path="/hangs", name="hangs"), stage.route(good, path="/good", name="good")], workers=1)
    clients = [gw.client() for _ in range(200)]
    for c in clients:
        c.ask("GET", "/hangs")
    hangs.wait_seen(200)
    assert all(gw.get("/good").status == 200 for _ in range(20))


def test_hanging_services_cost_no_cpu(stage):
    s = stage.service(answers=acts.hang)
    gw = stage.proxy(s, workers=1)
    for _ in range(50):
        gw.client().ask()
    s.wait_seen(50)
    worker, = gw.workers()
    before = process.cpu_seconds(worker)
    s.away()                                     # and nobody accepts any more
    time.sleep(0.5)                              # half a second of doing nothing is what is measured
    assert process.cpu_seconds(worker) - before < 0.1


def test_descriptors_used_up_are_answered_and_given_back(stage):
    s = stage.service(answers=acts.hang)
    gw = stage.proxy(s, workers=1, process={"rlimit_nofile": 100})
    worker, = gw.workers()
    clients = []
    for _ in range(150):
        c = gw.client(timeout=3)
        c.ask()
        clients.append(c)
    before = process.cpu_seconds(worker)
    time.sleep(0.5)
    assert process.cpu_seconds(worker) - before < 0.3       # no spinning on accept
    for c in clients:
        c.close()
    s.answers("ok")
    wait_until(lambda: gw.get().status == 200)


def test_what_lies_behind_an_answer_never_answers_whoever_waits_for_the_link(stage):
    """The answer ends where the gateway's buffer ends, so that the rest is still in the kernel when the link is free."""
    fill = 16384
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    first = head % (fill - len(head % 10000)) + b"x" * (fill - len(head % 10000))
    assert len(first) == fill
    held = acts.gate(acts.raw(first + head % 4 + b"evil"))
    s = stage.service(answers=acts.in_turn([held, "good"]))
    gw = stage.proxy(s, workers=1, upstream_pool={"max_per_host": 1})
    with gw.client() as one, gw.client() as two:
        one.ask()
        s.wait_event("held")
        two.ask()
        assert gw.get("/health").status == 200            # the second stands in line
        held.open.set()
        assert len(one.answer().body) > 10000
        assert two.answer().text == "good"
