"""What may be tried again is, and what may not is not: by what had been sent. """
import threading

import pytest

from stage import names
from stage import service as acts
from stage import wire


def test_the_only_service_away_for_50_ms_again_and_again_fails_no_request(stage):
    s = stage.service(answers=acts.text("ok", headers=[("Connection", "close")]))
    s.answers(closing("ok"))
    gw = stage.proxy(s, workers=2)
    ending, problems = threading.Event(), []

    def asking():
        while not ending.is_set():
            answer = gw.get("/", timeout=10)
            if answer.status != 200:
                problems.append(answer)

    threads = [threading.Thread(target=asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        seen = s.seen
        s.away()
        ending.wait(0.05)                 # the 50 ms of the sentence
        s.back()
        s.wait_seen(seen + 10)
    ending.set()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]


def closing(body):
    def act(turn):
        turn.read_body()
        turn.send(acts.answer_bytes(200, body.encode(), [("Connection", "close")]))
        turn.close()
    return act


def test_a_service_that_closes_behind_each_answer_without_saying_so_fails_no_get(stage):
    """The race of keep-alive: the link looks alive when it is taken and is not."""
    def act(turn):
        acts.text("ok")(turn)
        turn.close()
    s = stage.service(answers=act)
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert [c.get(f"/{n}").status for n in range(200)] == [200] * 200


def test_a_link_that_dies_under_a_get_is_replaced(stage):
    """The service reads the request on a used connection and closes without a byte of answer."""
    turns = []

    def act(turn):
        turns.append(turn.request.connection)
        if len(turns) == 2:
            turn.read_body()
            turn.close()
        else:
            acts.text("ok")(turn)
    s = stage.service(answers=act)
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert [c.get().status for _ in range(3)] == [200] * 3
    assert turns[:3] == [1, 1, 2]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_not_idempotent_is_not_asked_twice(stage, method):
    seen = []

    def act(turn):
        turn.read_body()
        seen.append(turn.request.method)
        if turn.request.method == method:
            turn.close()
        else:
            acts.text("ok")(turn)
    s = stage.service(answers=act)
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert c.get().status == 200
        assert c.request(method, "/", body=b"x").status == 502
        assert c.get().status == 200
    assert seen.count(method) == 1
    assert gw.wait_records(2)[1]["reason"] in (names.UPSTREAM_RESET, names.UPSTREAM_BAD, names.TRUNCATED)


def test_a_post_finds_a_closed_link_before_it_is_sent(stage):
    """The link was closed while it was idle: nothing has been sent, so a POST is safe too."""
    s = stage.service()
    gw = stage.proxy(s, workers=1)
    for _ in range(30):
        assert gw.get().status == 200
        s.hang_up()
        assert gw.post("/", b"x").status == 200


def test_an_answer_that_began_is_never_asked_again(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", then="close"))
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        c.ask()
        c.cut()
    assert s.seen == 1


def test_another_service_takes_what_one_refuses(stage):
    services = [stage.service(answers=str(n)) for n in range(3)]
    gw = stage.proxy(*services, workers=2)
    services[0].away()
    services[1].away()
    assert {gw.get().text for _ in range(6)} == {"2"}
    assert {gw.post("/", b"x").text for _ in range(6)} == {"2"}
    assert {line["reason"] for line in gw.wait_records(12)} == {names.OK}


def test_a_large_upload_survives_a_refusal_of_the_first_service(stage):
    a, b = stage.service(), stage.service(answers="b")
    gw = stage.proxy(a, b, workers=1)
    a.away()
    body = b"u" * 500000
    for _ in range(2):
        assert gw.post("/", body).text == "b"
        assert b.last.size == len(body)


def test_503_of_a_service_is_its_answer_and_not_asked_again(stage):
    s = stage.service(answers=503)
    gw = stage.proxy(s)
    assert gw.get().status == 503 and s.seen == 1


def test_all_refused_is_502_and_says_so(stage):
    services = [stage.service() for _ in range(3)]
    for s in services:
        s.away()
    gw = stage.proxy(*services, timeouts={"upstream_connect": "200ms"})
    assert gw.get().status == 502
    line, = gw.wait_records()
    assert line["reason"] == names.CONNECT_FAILED


def test_it_recovers_as_soon_as_a_service_is_back(stage):
    s = stage.service()
    gw = stage.proxy(s, timeouts={"upstream_connect": "100ms"})
    s.away()
    assert gw.get().status == 502
    s.back()
    assert gw.get().status == 200


def test_a_service_that_comes_back_in_mid_request_answers_it(stage):
    s = stage.service()
    gw = stage.proxy(s, timeouts={"upstream_connect": "5s"})
    s.away()
    c = gw.client()
    c.ask()
    threading.Event().wait(0.1)                       # it is refused for a while; that is the situation
    s.back()
    assert c.answer().status == 200


@pytest.mark.parametrize("body", [b"hello", b""], ids=["a body", "an empty one"])
def test_a_body_that_comes_between_two_attempts_reaches_the_second(stage, body):
    def leave(turn):
        turn.service.away()
        turn.reset()
    s = stage.service(answers=acts.in_turn(["warm", leave, "taken"]))
    gw = stage.proxy(s, workers=1)
    with gw.client() as c:
        assert c.get().text == "warm"
        c.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        s.wait(lambda s: s.seen == 2 and not s.open)
        assert gw.get("/health").status == 200          # the worker has seen the reset, and tries in vain
        c.send(wire.chunked_bytes([body] if body else []))
        assert gw.get("/health").status == 200
        s.back()
        assert c.answer().text == "taken"
    assert s.last.body == body and s.seen == 3
