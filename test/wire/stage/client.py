"""Clients: one connection each, byte-exact where a test wants it."""
import select
import socket
import struct

from . import wire


class Client:
    """One connection to the gateway (or to a service)."""

    def __init__(self, address, timeout=10, receive_buffer=None, host="gateway.test", source=None):
        self.host = host
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.source = wire.Source(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What a client says

    def send(self, data):
        self.sock.sendall(data)

    def ask(self, method="GET", path="/", headers=(), body=None, host=None, **more):
        """Send a request; the answer is another matter."""
        self.send(wire.request_bytes(method, path, headers, body, host or self.host, **more))

    def drip(self, data):
        """One byte a segment: the next one leaves when the last was acknowledged by the peer's kernel. Ends early when the
        other side says something (or leaves)."""
        for at in range(len(data)):
            self.sock.sendall(data[at:at + 1])
            while self.unsent():
                if select.select([self.sock], [], [], 0.001)[0]:
                    return

    def unsent(self):
        """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ)."""
        import fcntl
        return struct.unpack("i", fcntl.ioctl(self.sock, 0x5411, b"\0" * 4))[0]

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leave with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    # What a client hears

    def head(self):
        return wire.read_answer_head(self.source)

    def answer(self, method="GET"):
        answer = self.head()
        answer.body = b"".join(wire.answer_body(self.source, answer, method))
        return answer

    def body(self, answer, method="GET"):
        """The pieces of an answer whose head was taken with head()."""
        return wire.answer_body(self.source, answer, method)

    def request(self, method="GET", path="/", headers=(), body=None, host=None, **more):
        self.ask(method, path, headers, body, host, **more)
        return self.answer(method)

    def get(self, path="/", headers=(), **more):
        return self.request("GET", path, headers, **more)

    def post(self, path="/", body=b"", headers=(), **more):
        return self.request("POST", path, headers, body, **more)

    def is_open(self):
        """Nothing unread, and the other side has not closed."""
        if self.source.held:
            return False
        readable, _, _ = select.select([self.sock], [], [], 0)
        return not readable

    def closed(self):
        """Wait for the end of the connection; True if nothing came before it."""
        try:
            return not self.source.rest()
        except ConnectionResetError:
            return not self.source.held
        except socket.timeout:
            return False

    def cut(self):
        """Wait for the end, whatever comes before; returns what came."""
        try:
            return self.source.rest()
        except ConnectionResetError:
            return bytes(self.source.held)
