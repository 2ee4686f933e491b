"""A service behind the gateway: says what it is told to say and remembers what it has seen.

How it answers is an *act*: a function of one Turn (a request and its connection). `answers=` may be
    "text" or b"bytes"     200 with that body and its length
    503                    that status
    [a, b, c]              one after the other, the last for ever
    an act                 one of the functions below, or the test's own
A request that is not perfect HTTP/1.1 is remembered in `faults` and fails the test at its end: what the
gateway sends is refereed too.
"""
import hashlib
import socket
import struct
import threading
import time

from . import wire
from .ports import free_port

KEEP_BODY = 1 << 20


class Turn:
    """One request at its service, and what an act may do about it."""

    def __init__(self, service, sock, source, request):
        self.service, self.sock, self.source, self.request = service, sock, source, request
        self.keep = True

    def send(self, data):
        self.sock.sendall(data)

    def pieces(self):
        """The request's body as it comes."""
        digest = hashlib.sha256()
        for piece in wire.request_body(self.source, self.request):
            self.request.size += len(piece)
            if self.request.size <= KEEP_BODY:
                self.request.body += piece
            digest.update(piece)
            yield piece
        self.request.sha256 = digest.hexdigest()

    def read_body(self):
        if not self.request.complete:
            if self.request.headers.get("Expect", "").lower() == "100-continue":
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            for _ in self.pieces():
                pass

    def close(self):
        self.keep = False

    def reset(self):
        self.keep = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def until_left(self):
        """Wait until the gateway closes this connection (or the service is taken down)."""
        self.keep = False
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.service.note("left")


class Service:
    def __init__(self, answers="ok", name="service"):
        self.name = name
        self.port = free_port()
        self.act = act_of(answers)
        self.requests, self.faults, self.events = [], [], []
        self.connections = 0
        self.changed = threading.Condition()
        self.open, self.threads, self.gates = set(), [], []
        self.listener = None
        self.ended = False
        self.back()

    url = property(lambda self: f"http://127.0.0.1:{self.port}")
    address = property(lambda self: ("127.0.0.1", self.port))
    seen = property(lambda self: len(self.requests))
    last = property(lambda self: self.requests[-1])

    def answers(self, act):
        self.act = act_of(act)

    # Waiting for it

    def wait(self, ready, seconds=10):
        """Wait until ready(self); what it waits for is noted by the service's own threads."""
        with self.changed:
            assert self.changed.wait_for(lambda: ready(self), seconds), f"{self.name}: {self.requests} {self.events}"

    def wait_seen(self, count, seconds=10):
        self.wait(lambda s: s.seen >= count, seconds)

    def wait_event(self, event, count=1, seconds=10):
        self.wait(lambda s: s.events.count(event) >= count, seconds)

    def note(self, event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    # Being there and not

    def back(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self.listener = listener
        self._thread(self._accept, listener)

    def away(self):
        """Close the listening socket: from now on connections are refused. Those that stand live on."""
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)      # wakes accept(); only then may it be closed
            listener.close()

    def hang_up(self):
        """Close every connection that stands."""
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.changed:
            assert self.changed.wait_for(lambda: not self.open, 10)

    def end(self):
        self.ended = True
        for gate in self.gates:
            gate.set()
        self.away()
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)

    # Its threads

    def _thread(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.connections += 1
                number = self.connections
                self.open.add(sock)
                self.changed.notify_all()
            self._thread(self._serve, sock, number)

    def _serve(self, sock, number):
        source = wire.Source(sock)
        try:
            while self._turn(sock, source, number):
                pass
        except wire.FramingError as error:
            if not isinstance(error, wire.Truncated):
                self.faults.append(f"{self.name}, connection {number}: {error}")
        except OSError:
            pass                                     # the gateway left, or the act did
        finally:
            sock.close()
            with self.changed:
                self.open.discard(sock)
                self.changed.notify_all()

    def _turn(self, sock, source, number):
        try:
            request = wire.read_request(source, number)
        except wire.Closed:
            return False
        with self.changed:
            act = self.act
            self.requests.append(request)
            self.changed.notify_all()
        turn = Turn(self, sock, source, request)
        act(turn)
        if turn.keep and not request.complete:
            turn.read_body()
        return turn.keep and not self.ended


# Acts

def act_of(answers):
    if callable(answers):
        return answers
    if isinstance(answers, (str, bytes)):
        return text(answers)
    if isinstance(answers, int):
        return status(answers)
    return in_turn(answers)


def in_turn(acts):
    """One after the other, the last for ever."""
    left, lock = [act_of(act) for act in acts], threading.Lock()

    def act(turn):
        with lock:
            mine = left.pop(0) if len(left) > 1 else left[0]
        mine(turn)
    return act


def answer_bytes(status=200, body=b"", headers=(), reason="Said"):
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    if status not in (204, 304) and status >= 200:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def text(body, status=200, headers=()):
    body = body.encode() if isinstance(body, str) else body

    def act(turn):
        turn.read_body()
        head_only = turn.request.method == "HEAD"
        whole = answer_bytes(status, body, headers)
        turn.send(whole[:len(whole) - len(body)] if head_only else whole)
    return act


def status(code, headers=()):
    return text(f"status {code}\n" if code not in (204, 304) else b"", code, headers)


def echo(turn):
    """The request as the service saw it."""
    turn.read_body()
    turn.send(answer_bytes(200, turn.request.head + turn.request.body, [("Content-Type", "message/http")]))


def raw(*pieces, then="keep"):
    """Exactly these bytes, one send each; then keep, close or reset the connection."""
    def act(turn):
        turn.read_body()
        for piece in pieces:
            turn.send(piece)
        if then == "close":
            turn.close()
        if then == "reset":
            turn.reset()
    return act


def chunked(*chunks, trailers=(), headers=(), status=200):
    lines = [f"HTTP/1.1 {status} Said", "Transfer-Encoding: chunked", *(f"{n}: {v}" for n, v in headers)]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + wire.chunked_bytes(chunks, trailers))


def hang(turn):
    """Read the request, say nothing until the gateway gives up."""
    turn.read_body()
    turn.until_left()


def hang_after(*pieces):
    """Say this much and then nothing until the gateway gives up."""
    def act(turn):
        turn.read_body()
        for piece in pieces:
            turn.send(piece)
        turn.until_left()
    return act


def gate(then="ok", before=()):
    """An act that waits for `.open` to be set; in the test: `held = gate()`, …, `held.open.set()`."""
    opened = threading.Event()
    answer = act_of(then)

    def act(turn):
        turn.read_body()
        for piece in before:
            turn.send(piece)
        turn.service.gates.append(opened)
        turn.service.note("held")
        opened.wait(30)
        answer(turn)
    act.open = opened
    return act


def early(answer, close=True):
    """Answer from the head alone; the body is not read before it is sent."""
    def act(turn):
        turn.send(answer)
        if close:
            turn.close()
    return act


def flood(size, headers=(), block=b"x" * 65536):
    """A counted body of `size` bytes, sent as fast as it is taken; what was sent is in service.sent."""
    def act(turn):
        turn.read_body()
        lines = ["HTTP/1.1 200 Said", f"Content-Length: {size}", *(f"{n}: {v}" for n, v in headers)]
        turn.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        turn.service.sent = 0
        while turn.service.sent < size:
            piece = block[:size - turn.service.sent]
            turn.send(piece)
            turn.service.sent += len(piece)
        turn.service.note("flooded")
    return act


def drip(data, every):
    """A counted body, one byte each `every` seconds: the service that is alive and no use."""
    def act(turn):
        turn.read_body()
        turn.send(b"HTTP/1.1 200 Said\r\nContent-Length: %d\r\n\r\n" % len(data))
        for at in range(len(data)):
            turn.send(data[at:at + 1])
            time.sleep(every)          # the pace is what is acted; nothing is awaited here
    return act
