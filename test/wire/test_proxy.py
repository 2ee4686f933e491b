"""A request goes to its service and the answer comes back: what is changed on the way and what is not."""
import pytest

from stage import service as acts
from stage import wire


def test_method_path_query_headers_and_body_arrive_unchanged(stage):
    s = stage.service(answers="ok")
    gw = stage.proxy(s)
    gw.post("/a/b;c=1?x=%20&y=%2F#".rstrip("#"), b"\x00body\xff", {"X-Mixed-Case": "Va lue", "Accept": "*/*"})
    assert (s.last.method, s.last.target) == ("POST", "/a/b;c=1?x=%20&y=%2F")
    assert s.last.body == b"\x00body\xff"
    assert s.last.headers["X-Mixed-Case"] == "Va lue" and s.last.headers["Accept"] == "*/*"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH"])
def test_any_method_passes(stage, method):
    s = stage.service(answers=lambda turn: acts.text(turn.request.method)(turn))
    gw = stage.proxy(s)
    assert gw.request(method, "/").text == method


def test_the_service_sees_the_clients_host(stage):
    s = stage.service()
    gw = stage.proxy(s)
    gw.get("/", host="shop.example:8443")
    assert s.last.headers["Host"] == "shop.example:8443"


def test_the_service_sees_the_target_as_it_was_spelled(stage):
    s = stage.service()
    gw = stage.proxy(s)
    gw.get("/%75sers//x/../y?q=%41")
    assert s.last.target == "/%75sers//x/../y?q=%41"


def test_status_reason_headers_and_body_of_the_answer_arrive(stage):
    s = stage.service(answers=acts.text("made", 201, [("Location", "/a/1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    gw = stage.proxy(s)
    answer = gw.post("/", b"x")
    assert (answer.status, answer.text, answer.headers["Location"]) == (201, "made", "/a/1")
    assert answer.headers.all("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("code", [200, 206, 301, 400, 404, 418, 500, 503, 599])
def test_any_status_passes(stage, code):
    gw = stage.proxy(stage.service(answers=code))
    assert gw.get().status == code


def test_hop_by_hop_fields_of_the_request_stay_here(stage):
    s = stage.service()
    gw = stage.proxy(s)
    gw.get("/", {"Connection": "X-Secret, Keep-Alive", "X-Secret": "1", "Keep-Alive": "timeout=5",
                 "Proxy-Connection": "keep-alive", "TE": "gzip", "X-Public": "1"})
    for gone in ("X-Secret", "Keep-Alive", "Proxy-Connection"):
        assert gone not in s.last.headers, gone
    assert "gzip" not in s.last.headers.get("TE", "") and s.last.headers["X-Public"] == "1"
    assert "x-secret" not in s.last.headers.get("Connection", "").lower()


def test_hop_by_hop_fields_of_the_answer_stay_here(stage):
    s = stage.service(answers=acts.text("ok", headers=[("Connection", "X-Inner"), ("X-Inner", "1"), ("Keep-Alive", "timeout=9"),
                                                       ("X-Outer", "1")]))
    answer = stage.proxy(s).get()
    assert "X-Inner" not in answer.headers and "Keep-Alive" not in answer.headers and answer.headers["X-Outer"] == "1"
    assert "x-inner" not in answer.headers.get("Connection", "").lower()


def test_a_client_that_says_connection_close_and_host_cannot_remove_the_host(stage):
    s = stage.service()
    gw = stage.proxy(s)
    answer = gw.get("/", {"Connection": "Host, Content-Length"})
    assert answer.status in (200, 400)
    assert s.seen == 0 or s.last.headers["Host"] == "gateway.test"


def test_te_trailers_is_passed_on(stage):
    s = stage.service()
    stage.proxy(s).get("/", {"TE": "trailers", "Connection": "TE"})
    assert s.last.headers["TE"] == "trailers"


def test_via_and_forwarded_say_who_asked(stage):
    s = stage.service()
    gw = stage.proxy(s)
    gw.get("/", host="shop.example")
    seen = s.last.headers
    assert "1.1" in seen["Via"]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "http" and seen["X-Forwarded-Host"] == "shop.example"
    assert seen["X-Forwarded-Port"] == str(gw.port)
    assert "for=127.0.0.1" in seen["Forwarded"].replace('"', "") and "proto=http" in seen["Forwarded"]


def test_the_answer_carries_via(stage):
    assert "1.1" in stage.proxy(stage.service()).get().headers["Via"]


def test_forwarded_for_of_a_client_is_not_the_last_word(stage):
    s = stage.service()
    stage.proxy(s).get("/", {"X-Forwarded-For": "9.9.9.9"})
    assert s.last.headers["X-Forwarded-For"].split(",")[-1].strip() == "127.0.0.1"


def test_requests_share_one_connection_of_the_client(stage):
    s = stage.service()
    with stage.proxy(s).client() as c:
        for number in range(20):
            assert c.get(f"/{number}").text == "ok"
        assert c.is_open()
    assert [r.target for r in s.requests] == [f"/{number}" for number in range(20)]


def test_links_to_services_are_kept(stage):
    s = stage.service()
    gw = stage.proxy(s, workers=1)
    for _ in range(20):
        assert gw.get().status == 200
    assert s.connections == 1


def test_connection_close_of_the_client_is_honoured(stage):
    gw = stage.proxy(stage.service())
    c = gw.client()
    assert c.get("/", {"Connection": "close"}).closes
    assert c.closed()


def test_http_1_0_closes_unless_asked_to_keep(stage):
    gw = stage.proxy(stage.service())
    c = gw.client()
    assert c.get("/", version="1.0").text == "ok"
    assert c.closed()


def test_http_1_0_keep_alive_is_kept_and_said(stage):
    c = stage.proxy(stage.service()).client()
    answer = c.get("/", {"Connection": "keep-alive"}, version="1.0")
    assert answer.text == "ok"
    if answer.headers.get("Connection", "").lower() == "keep-alive":
        assert c.get("/", {"Connection": "keep-alive"}, version="1.0").text == "ok"
    else:
        assert c.closed()


def test_http_1_0_client_gets_no_chunks(stage):
    s = stage.service(answers=acts.chunked(b"abc", b"def"))
    c = stage.proxy(s).client()
    c.ask("GET", "/", version="1.0")
    answer = c.head()
    assert "Transfer-Encoding" not in answer.headers
    assert c.source.rest() == b"abcdef"


def test_a_service_that_speaks_1_0_is_understood(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold words", then="close"))
    with stage.proxy(s).client() as c:
        assert c.get().text == "old words"
        assert c.is_open()          # the client's connection does not share the service's fate
        assert c.get().text == "old words"


def test_the_service_is_asked_in_1_1_also_for_a_1_0_client(stage):
    s = stage.service()
    stage.proxy(s).get("/", version="1.0")
    assert s.last.version == "1.1"


def test_upgrade_is_not_passed_on_unasked(stage):
    s = stage.service()
    answer = stage.proxy(s).get("/", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"})
    assert answer.status == 200 and "h2c" not in s.last.headers.get("Upgrade", "")
    assert "HTTP2-Settings" not in s.last.headers


def test_an_absolute_target_is_taken(stage):
    s = stage.service()
    answer = stage.proxy(s).get("http://gateway.test/abs?q=1")
    assert answer.status == 200 and s.last.headers["Host"] == "gateway.test"
    assert s.last.target in ("/abs?q=1", "http://gateway.test/abs?q=1")


def test_options_star_is_answered_without_a_service(stage):
    s = stage.service()
    answer = stage.proxy(s).request("OPTIONS", "*")
    assert answer.status in (200, 204, 404) and s.seen == 0


def test_two_services_do_not_meet(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.gateway(services=[stage.route(a, path="/a", name="a"), stage.route(b, path="/b", name="b")])
    with gw.client() as c:
        assert [c.get(path).text for path in ("/a", "/b", "/a", "/b/x")] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_many_clients_at_once_each_get_their_own_answer(stage, workers):
    s = stage.service(answers=lambda turn: acts.text(turn.request.target)(turn))
    gw = stage.proxy(s, workers=workers)
    clients = [gw.client() for _ in range(60)]
    for turn in range(3):
        for number, c in enumerate(clients):
            c.ask("GET", f"/{turn}/{number}")
        assert [c.answer().text for c in clients] == [f"/{turn}/{number}" for number in range(60)]


def test_wire_reader_agrees_with_bytes(stage):
    """The head as it is on the wire: nothing but CRLF ends a line, the answer is 1.1."""
    c = stage.proxy(stage.service()).raw(wire.request_bytes())
    answer = c.answer()
    assert answer.head.startswith(b"HTTP/1.1 200 ") and answer.head.count(b"\n") == answer.head.count(b"\r\n")
