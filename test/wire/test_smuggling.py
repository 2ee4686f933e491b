"""Whatever two parsers could read differently is refused with 400, the connection is closed, and no service
ever hears of it. (RFC 9112 2.2, 3, 5, 6; RFC 9110 5)"""
import pytest

from stage import service as acts

HOST = b"Host: gateway.test\r\n"
GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
END = b"\r\n"


def get(*lines):
    return GET + HOST + b"".join(line + b"\r\n" for line in lines) + END + SMUGGLED


def post(*lines, body=b"0\r\n\r\n"):
    return POST + HOST + b"".join(line + b"\r\n" for line in lines) + END + body + SMUGGLED


LINES = {
    "bare LF ends the request line": b"GET / HTTP/1.1\n" + HOST + END,
    "bare LF ends a field": GET + b"Host: gateway.test\nX: y\r\n" + END,
    "bare LF ends the head": GET + HOST + b"\n",
    "LF LF ends the head": b"GET / HTTP/1.1\nHost: gateway.test\n\n",
    "CR alone ends the request line": b"GET / HTTP/1.1\rHost: gateway.test\r\n\r\n",
    "CR alone in a field": get(b"X: a\rTransfer-Encoding: chunked"),
    "CR CR LF": GET + HOST + b"X: a\r\r\n" + END,
    "obs-fold with a space": get(b"X: a", b" b"),
    "obs-fold with a tab": get(b"X: a", b"\tb"),
    "obs-fold hides a coding": post(b"Transfer-Encoding:", b" chunked"),
    "first field begins with a space": GET + b" " + HOST + END,
    "only white space in a line": get(b" "),
    "NUL in a value": get(b"X: a\0b"),
    "NUL in a name": get(b"X\0: a"),
    "NUL in the target": b"GET /\0 HTTP/1.1\r\n" + HOST + END,
    "control character in a value": get(b"X: a\x01b"),
    "DEL in a value": get(b"X: a\x7fb"),
    "vertical tab in a value": get(b"X: a\x0bb"),
    "two empty lines before the request": b"\r\n\r\n" + get(),
    "bare LF before the request": b"\n" + get(),
    "white space before the request": b" " + get(),
}
NAMES = {
    "space before the colon": get(b"X : a"),
    "tab before the colon": get(b"X\t: a"),
    "space before the colon of a coding": post(b"Transfer-Encoding : chunked"),
    "space before the colon of a length": post(b"Content-Length : 5"),
    "no colon": get(b"X a"),
    "no name": get(b": a"),
    "space in a name": get(b"X Y: a"),
    "comma in a name": get(b"X,Y: a"),
    "bracket in a name": get(b"X[0]: a"),
    "quote in a name": get(b'X"Y": a'),
    "slash in a name": get(b"X/Y: a"),
    "8-bit name": get(b"X\xff: a"),
}
LENGTHS = {
    "length and coding": post(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "coding and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "coding and length 0": post(b"Transfer-Encoding: chunked", b"Content-Length: 0"),
    "two lengths that differ": post(b"Content-Length: 5", b"Content-Length: 6"),
    "two lengths that agree": post(b"Content-Length: 5", b"Content-Length: 5"),
    "a list of lengths that agree": post(b"Content-Length: 5, 5"),
    "a list of lengths that differ": post(b"Content-Length: 5, 6"),
    "length with a plus": post(b"Content-Length: +5"),
    "negative length": post(b"Content-Length: -5"),
    "hexadecimal length": post(b"Content-Length: 0x5"),
    "empty length": post(b"Content-Length:"),
    "length of two words": post(b"Content-Length: 5 5"),
    "length with a letter": post(b"Content-Length: 5a"),
    "length with a comma": post(b"Content-Length: 5,"),
    "length with a point": post(b"Content-Length: 5.0"),
    "length in exponent form": post(b"Content-Length: 1e1"),
    "length in quotes": post(b'Content-Length: "5"'),
    "length of 2^64 + 5": post(b"Content-Length: 18446744073709551621"),
    "length of 2^63": post(b"Content-Length: 9223372036854775808"),
    "length of fifty digits": post(b"Content-Length: " + b"1" * 50),
    "length in Arabic digits": post("Content-Length: ٥".encode()),
}
CODINGS = {
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked"),
    "two coding fields": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked and identity in two fields": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "chunked not last": post(b"Transfer-Encoding: chunked, gzip"),
    "identity": post(b"Transfer-Encoding: identity"),
    "empty coding": post(b"Transfer-Encoding:"),
    "only a comma": post(b"Transfer-Encoding: ,"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1"),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"'),
    "chunked with a letter before": post(b"Transfer-Encoding: xchunked"),
    "chunked with a letter after": post(b"Transfer-Encoding: chunkedx"),
    "chunked of two words": post(b"Transfer-Encoding: chunked chunked"),
    "chunked behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked"),
    "chunked behind an 8-bit space": post(b"Transfer-Encoding: \xa0chunked"),
    "unknown coding before chunked": post(b"Transfer-Encoding: gzip, chunked"),
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
}
REQUEST_LINES = {
    "two spaces before the target": b"GET  / HTTP/1.1\r\n" + HOST + END,
    "two spaces before the version": b"GET /  HTTP/1.1\r\n" + HOST + END,
    "tab before the target": b"GET\t/ HTTP/1.1\r\n" + HOST + END,
    "tab before the version": b"GET /\tHTTP/1.1\r\n" + HOST + END,
    "space after the version": b"GET / HTTP/1.1 \r\n" + HOST + END,
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + END,
    "no version": b"GET /\r\n" + HOST + END,
    "no target": b"GET HTTP/1.1\r\n" + HOST + END,
    "only a method": b"GET\r\n" + HOST + END,
    "small http": b"GET / http/1.1\r\n" + HOST + END,
    "version of two digits": b"GET / HTTP/1.10\r\n" + HOST + END,
    "version without a point": b"GET / HTTP/11\r\n" + HOST + END,
    "version with a letter": b"GET / HTTP/1.1x\r\n" + HOST + END,
    "version with a comma": b"GET / HTTP/1,1\r\n" + HOST + END,
    "no HTTP": b"GET / FTP/1.1\r\n" + HOST + END,
    "bracket in the method": b"G(T / HTTP/1.1\r\n" + HOST + END,
    "8-bit method": b"G\xc9T / HTTP/1.1\r\n" + HOST + END,
    "8-bit target": b"GET /\xff HTTP/1.1\r\n" + HOST + END,
    "target without a slash": b"GET users HTTP/1.1\r\n" + HOST + END,
    "fragment in the target": b"GET /a#b HTTP/1.1\r\n" + HOST + END,
    "star for a method that is not OPTIONS": b"GET * HTTP/1.1\r\n" + HOST + END,
    "authority for a method that is not CONNECT": b"GET gateway.test:80 HTTP/1.1\r\n" + HOST + END,
    "user in the target": b"GET http://user@gateway.test/ HTTP/1.1\r\n" + HOST + END,
    "TLS to a plain port": bytes.fromhex("16030100c8010000c4030300010203040506070809") + b"\0" * 100,
    "binary": bytes(range(128, 256)),
}
HOSTS = {
    "no Host": GET + END,
    "two Hosts that agree": GET + HOST + HOST + END,
    "two Hosts that differ": GET + HOST + b"Host: other.test\r\n" + END,
    "Host with a space": GET + b"Host: a b\r\n" + END,
    "a list of Hosts": GET + b"Host: a, b\r\n" + END,
    "Host with a path": GET + b"Host: a/b\r\n" + END,
    "Host with a user": GET + b"Host: u@a\r\n" + END,
    "Host with a fragment": GET + b"Host: a#b\r\n" + END,
    "Host with a question": GET + b"Host: a?b\r\n" + END,
    "Host with a backslash": GET + b"Host: a\\b\r\n" + END,
    "Host with a word as port": GET + b"Host: a:b\r\n" + END,
    "Host with two ports": GET + b"Host: a:1:2\r\n" + END,
    "Host with a port too large": GET + b"Host: a:99999\r\n" + END,
    "Host with an open bracket": GET + b"Host: [::1\r\n" + END,
    "Host that differs from the target's": b"GET http://one.test/ HTTP/1.1\r\nHost: two.test\r\n\r\n",
}
TABLE = {**LINES, **NAMES, **LENGTHS, **CODINGS, **REQUEST_LINES, **HOSTS}
# 9112 6.1: a coding that is not known may be answered 501; that it is closed and goes nowhere matters.
NOT_IMPLEMENTED = {"unknown coding before chunked", "identity", "chunked with a letter before", "chunked with a letter after",
                   "chunked not last", "chunked in quotes", "chunked of two words", "chunked with a parameter",
                   "chunked behind an 8-bit space", "chunked and identity in two fields"}


@pytest.fixture(scope="module")
def play(shared):
    s = shared.service(answers="ok")
    gw = shared.proxy(s, workers=1)
    gw.service = s
    assert gw.get("/").status == 200
    return gw


def refused(gw, data, among=(400,), byte_by_byte=False):
    before = gw.service.seen
    with gw.client(timeout=4) as c:
        if byte_by_byte:
            try:
                c.drip(data)
            except (BrokenPipeError, ConnectionResetError):
                pass                            # it was refused before its end
        else:
            c.send(data)
        answer = c.answer()
        assert answer.status in among, answer
        assert answer.closes
        assert c.closed()
    assert gw.service.seen == before, gw.service.last.head


@pytest.mark.parametrize("case", TABLE, ids=[case.replace(" ", "-") for case in TABLE])
def test_refused(play, case):
    refused(play, TABLE[case], (400, 501) if case in NOT_IMPLEMENTED else (400,))


@pytest.mark.parametrize("case", ["bare LF ends a field", "obs-fold with a space", "length and coding", "space before the colon",
                                  "two lengths that differ", "CR alone in a field", "no Host"])
def test_refused_when_it_comes_byte_by_byte(play, case):
    refused(play, TABLE[case].replace(SMUGGLED, b""), byte_by_byte=True)


@pytest.mark.parametrize("case", ["length and coding", "bare LF ends a field", "two Hosts that differ", "chunked twice"])
def test_refused_on_a_connection_that_has_served(play, case):
    with play.client(timeout=4) as c:
        assert c.get("/").status == 200
        c.send(TABLE[case])
        assert c.answer().status == 400
        assert c.closed()


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"HTTP/9.9"])
def test_another_major_version_is_505(play, version):
    refused(play, b"GET / " + version + b"\r\n" + HOST + END, (505, 400))


def test_the_preface_of_http_2_is_not_a_request(play):
    refused(play, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505))


def test_connect_reaches_no_service(play):
    before = play.service.seen
    answer = play.raw(b"CONNECT gateway.test:443 HTTP/1.1\r\nHost: gateway.test:443\r\n\r\n").answer()
    assert answer.status in (400, 404, 405, 501) and play.service.seen == before


def test_an_unknown_expectation_is_417(play):
    before = play.service.seen
    answer = play.raw(b"POST / HTTP/1.1\r\nHost: gateway.test\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n").answer()
    assert answer.status == 417 and play.service.seen == before


# Chunks: the head may be on its way already; the message must never become complete anywhere.

CHUNKS = {
    "bare LF after a size": b"1\na\r\n0\r\n\r\n",
    "bare LF after data": b"1\r\na\n0\r\n\r\n",
    "bare LF at the end": b"1\r\na\r\n0\n\n",
    "CR alone after a size": b"1\ra\r\n0\r\n\r\n",
    "more data than it said": b"1\r\nab\r\n0\r\n\r\n",
    "no data end": b"1\r\na0\r\n\r\n",
    "size with 0x": b"0x1\r\na\r\n0\r\n\r\n",
    "size with a plus": b"+1\r\na\r\n0\r\n\r\n",
    "negative size": b"-1\r\na\r\n0\r\n\r\n",
    "size with a space before": b" 1\r\na\r\n0\r\n\r\n",
    "size with an underscore": b"0_1\r\na\r\n0\r\n\r\n",
    "size not hexadecimal": b"g\r\na\r\n0\r\n\r\n",
    "no size": b"\r\na\r\n0\r\n\r\n",
    "size of 17 digits": b"10000000000000001\r\na\r\n0\r\n\r\n",
    "size that overflows": b"ffffffffffffffff1\r\na\r\n0\r\n\r\n",
    "size of a thousand zeros": b"0" * 1000 + b"1\r\na\r\n0\r\n\r\n",
    "NUL in an extension": b"1;a=\0\r\na\r\n0\r\n\r\n",
    "LF in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "endless extension": b"1;" + b"a" * 70000 + b"\r\na\r\n0\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nX : a\r\n\r\n",
    "trailer folded": b"0\r\nX: a\r\n b\r\n\r\n",
    "trailer with a bare LF": b"0\r\nX: a\n\r\n",
    "trailer without a colon": b"0\r\nX\r\n\r\n",
    "endless trailer": b"0\r\nX: " + b"a" * 200000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("case", CHUNKS, ids=[case.replace(" ", "-") for case in CHUNKS])
def test_bad_chunks_never_make_a_complete_request(play, case):
    first = play.service.seen
    with play.client(timeout=4) as c:
        try:
            c.send(POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[case] + SMUGGLED)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = c.answer()
        assert answer.status in (400, 413, 431) and answer.closes
        assert c.closed()
    for request in play.service.requests[first:]:
        assert not request.complete and request.target != "/smuggled", request.head


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Authorization", "X-API-KEY", "Connection"])
def test_a_trailer_cannot_become_what_only_a_head_may_say(play, name):
    with play.client(timeout=4) as c:
        c.send(POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + name.encode() + b": 3\r\n\r\n")
        answer = c.answer()
    if answer.status == 200:
        assert name not in play.service.last.trailers
        assert play.service.last.headers.get(name) != "3"
    else:
        assert answer.status == 400


def test_what_may_be_odd_and_is_harmless_still_works(play):
    """An empty line before a request, any case of names, empty values, optional white space, 8-bit values."""
    with play.client(timeout=4) as c:
        c.send(b"\r\nGET / HTTP/1.1\r\nhOsT:gateway.test\r\nX-Empty:\r\nX-Tab:\ta\t\r\nX-8: \xe9\r\n\r\n")
        assert c.answer().status == 200
        assert play.service.last.headers["X-Tab"] == "a" and play.service.last.headers["X-8"] == "\xe9"
        c.send(b"POST / HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: Chunked\r\n\r\n"
               b'a;name=value;q="x y"\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n')
        assert c.answer().status == 200
        assert play.service.last.body == b"01234567890123456789a"
        assert c.is_open()


def test_the_rest_of_a_refused_connection_is_never_read_as_a_request(stage):
    s = stage.service()
    gw = stage.proxy(s, workers=1)
    c = gw.raw(get(b"X : a") + SMUGGLED * 50)
    assert c.answer().status == 400 and c.closed()
    assert s.seen == 0


def test_a_body_is_never_read_as_a_request(stage):
    s = stage.service(answers=acts.echo)
    c = stage.proxy(s).client()
    c.post("/", SMUGGLED * 3)
    assert c.get("/next").status == 200
    assert [r.target for r in s.requests] == ["/", "/next"]


def test_a_get_with_a_body_keeps_its_frame(stage):
    s = stage.service()
    c = stage.proxy(s).client()
    assert c.request("GET", "/", body=SMUGGLED).status == 200
    assert c.get("/next").status == 200
    assert [r.target for r in s.requests] == ["/", "/next"] and s.requests[0].body == SMUGGLED
