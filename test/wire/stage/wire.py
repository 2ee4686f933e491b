"""HTTP/1.1 as a referee reads it: whatever two readers could understand differently is a FramingError.

Used on both sides: by the client for what the gateway answers, by the scripted service for what the
gateway asks. (RFC 9112)
"""
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
HEAD_MOST = 1 << 20


class FramingError(AssertionError):
    """The bytes are not one unambiguous HTTP/1.1 message."""


class Truncated(FramingError):
    """The connection ended inside a message."""


class Closed(Truncated):
    """The connection ended before the first byte of a message."""


class Fields:
    """Header fields in the order of the wire; names compare without case."""

    def __init__(self, pairs=()):
        self.pairs = list(pairs)

    def all(self, name):
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.all(name)
        return ", ".join(found) if found else default

    def __getitem__(self, name):
        found = self.get(name)
        if found is None:
            raise KeyError(f"no field {name} among {[key for key, _ in self.pairs]}")
        return found

    def __contains__(self, name):
        return bool(self.all(name))

    def __repr__(self):
        return repr(self.pairs)


class Source:
    """Bytes of a socket with what was read too far."""

    def __init__(self, sock):
        self.sock = sock
        self.held = bytearray()

    def more(self, most=65536):
        """Read once; False at the end of the stream."""
        data = self.sock.recv(most)
        self.held += data
        return bool(data)

    def take(self, count):
        piece = bytes(self.held[:count])
        del self.held[:count]
        return piece

    def exactly(self, count):
        while len(self.held) < count:
            if not self.more():
                raise Truncated(f"ended {count - len(self.held)} bytes short, having {bytes(self.held[-200:])!r}")
        return self.take(count)

    def until(self, mark, most=HEAD_MOST):
        """Everything up to and including mark."""
        seen = 0
        while (at := self.held.find(mark, seen)) < 0:
            seen = max(0, len(self.held) - len(mark) + 1)
            if len(self.held) > most:
                raise FramingError(f"no {mark!r} within {most} bytes")
            if not self.more():
                if not self.held:
                    raise Closed(f"closed where {mark!r} was awaited")
                raise Truncated(f"ended before {mark!r}: {bytes(self.held[-300:])!r}")
        return self.take(at + len(mark))

    def rest(self):
        while self.more():
            pass
        return self.take(len(self.held))


def read_fields(text):
    """Field lines, without the empty line that ends them."""
    pairs, at = [], 0
    while at < len(text):
        found = FIELD.match(text, at)
        if not found:
            raise FramingError(f"not a field line: {text[at:at + 120]!r}")
        pairs.append((found[1].decode("ascii"), found[2].decode("latin-1")))
        at = found.end()
    return Fields(pairs)


def length_of(fields, where):
    """The declared length, "chunked" or None; both at once, repeated or odd is an error. (9112 6.3)"""
    lengths, codings = fields.all("Content-Length"), fields.all("Transfer-Encoding")
    if lengths and codings:
        raise FramingError(f"{where}: both Content-Length and Transfer-Encoding")
    if len(lengths) > 1 or (lengths and not re.fullmatch("[0-9]{1,18}", lengths[0])):
        raise FramingError(f"{where}: Content-Length {lengths}")
    if codings and [c.lower() for c in codings] != ["chunked"]:
        raise FramingError(f"{where}: Transfer-Encoding {codings}")
    return "chunked" if codings else int(lengths[0]) if lengths else None


def read_chunked(source, trailers):
    """Pieces of a chunked body; `trailers` (a list) is given the trailer fields. (9112 7.1)"""
    while True:
        line = source.until(b"\r\n", 1024)
        found = CHUNK_LINE.fullmatch(line)
        if not found:
            raise FramingError(f"not a chunk size: {line!r}")
        left = int(found[1], 16)
        if left == 0:
            break
        while left:
            if not source.held and not source.more():
                raise Truncated("ended inside a chunk")
            piece = source.take(left)
            left -= len(piece)
            yield piece
        if source.exactly(2) != b"\r\n":
            raise FramingError("a chunk that is longer than it said")
    while (line := source.until(b"\r\n")) != b"\r\n":
        trailers.append(read_fields(line).pairs[0])


def read_counted(source, left):
    while left:
        if not source.held and not source.more():
            raise Truncated(f"ended {left} bytes before the declared length")
        piece = source.take(left)
        left -= len(piece)
        yield piece


def read_to_end(source):
    while source.held or source.more():
        yield source.take(len(source.held))


class Request:
    """What a service was asked."""

    def __init__(self, head, connection):
        first, _, fields = head[:-2].partition(b"\r\n")
        found = REQUEST_LINE.fullmatch(first + b"\r\n")
        if not found:
            raise FramingError(f"not a request line: {first!r}")
        self.head = head
        self.connection = connection            # which of the service's connections, from 1
        self.method = found[1].decode()
        self.target = found[2].decode()
        self.path, _, self.query = self.target.partition("?")
        self.version = "1." + found[3].decode()
        self.headers = read_fields(fields)
        if len(self.headers.all("Host")) != 1:
            raise FramingError(f"Host fields: {self.headers.all('Host')}")
        self.framing = length_of(self.headers, "request")
        self.body = b""
        self.size = 0                           # of the body, kept or not
        self.trailers = Fields()
        self.complete = False                   # the whole body arrived

    def __repr__(self):
        return f"<{self.method} {self.target}>"


def read_request(source, connection):
    return Request(source.until(b"\r\n\r\n"), connection)


def request_body(source, request):
    trailers = []
    if request.framing == "chunked":
        yield from read_chunked(source, trailers)
    elif request.framing:
        yield from read_counted(source, request.framing)
    request.trailers = Fields(trailers)
    request.complete = True


class Answer:
    """What a client was answered."""

    def __init__(self, head):
        first, _, fields = head[:-2].partition(b"\r\n")
        found = STATUS_LINE.fullmatch(first + b"\r\n")
        if not found:
            raise FramingError(f"not a status line: {first!r}")
        self.head = head
        self.status = int(found[1])
        self.reason = found[2].decode("latin-1")
        self.headers = read_fields(fields)
        self.body = b""
        self.trailers = Fields()
        self.interim = []                       # the 1xx before it

    @property
    def text(self):
        return self.body.decode()

    @property
    def closes(self):
        return "close" in [w.strip().lower() for w in self.headers.get("Connection", "").split(",")]

    def __repr__(self):
        return f"<{self.status} {self.body[:80]!r}>"


def read_answer_head(source):
    """The final head; interim answers are kept in .interim."""
    interim = []
    while True:
        answer = Answer(source.until(b"\r\n\r\n"))
        if answer.status >= 200 or answer.status == 101:
            answer.interim = interim
            return answer
        if "Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers:
            raise FramingError(f"{answer.status} with framing fields: {answer.headers}")
        interim.append(answer)


def answer_body(source, answer, method="GET"):
    """Pieces of the body by 9112 6.3, stricter: an answer that ends with the connection must say so."""
    framing = length_of(answer.headers, f"answer {answer.status}")
    if answer.status == 204 and framing is not None:
        raise FramingError(f"204 with {framing}")
    if method == "HEAD" or answer.status in (204, 304):
        return
    trailers = []
    if framing == "chunked":
        yield from read_chunked(source, trailers)
        answer.trailers = Fields(trailers)
    elif framing is None:
        if not answer.closes:
            raise FramingError("an answer of no length that does not say Connection: close")
        yield from read_to_end(source)
    else:
        yield from read_counted(source, framing)


def request_bytes(method="GET", path="/", headers=(), body=None, host="gateway.test", chunks=None, trailers=(),
                  version="1.1"):
    """A correct request. `body` is sent with its length, `chunks` as they are cut."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    named = {name.lower() for name, _ in pairs}
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None and "host" not in named:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in pairs]
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
    elif body is not None and "content-length" not in named:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if chunks is not None:
        return head + chunked_bytes(chunks, trailers)
    return head + (body or b"")


def chunked_bytes(chunks, trailers=()):
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return coded + b"0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in trailers).encode("latin-1") + b"\r\n"
