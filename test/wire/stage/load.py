"""Clients that go on and on in threads of their own and remember everything that went wrong."""
import threading

from . import wire


class Load:
    """`with Load(gw, …) as load:` what happens inside happens under load; `load.failures` must stay empty.

    kinds       keep (one connection, request after request), once (a connection each), pipeline (eight at a time), upload, download
    may_fail    exceptions after which a client just connects again
    may_close   a kept connection may be ended politely, by Connection: close in an answer
    """

    def __init__(self, gateway, keep=0, once=0, pipeline=0, upload=0, download=0, path="/u", may_fail=(), may_close=False):
        self.gateway, self.path, self.may_fail, self.may_close = gateway, path, tuple(may_fail), may_close
        self.done = self.reconnects = 0
        self.failures, self.threads = [], []
        self.ending = threading.Event()
        self.changed = threading.Condition()
        for kind, count in (("keep", keep), ("once", once), ("pipeline", pipeline), ("upload", upload), ("download", download)):
            self.threads += [threading.Thread(target=self._run, args=(getattr(self, "_" + kind), kind), daemon=True) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_more(len(self.threads))
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(20)

    def wait_more(self, count, seconds=20):
        """Wait until `count` more requests were answered: the load is really there."""
        with self.changed:
            goal = self.done + count
            assert self.changed.wait_for(lambda: self.done >= goal or self.failures, seconds), self.done
        assert not self.failures, self.failures[:5]

    def _count(self, answer, expected=200):
        if answer.status != expected:
            self.failures.append(f"{answer.status} {answer.body[:60]!r}")
        with self.changed:
            self.done += 1
            self.changed.notify_all()

    def _run(self, work, kind):
        while not self.ending.is_set():
            try:
                work()
            except self.may_fail:
                with self.changed:
                    self.reconnects += 1
            except Exception as error:                   # every other end of a connection is a failure
                self.failures.append(f"{kind}: {type(error).__name__}: {error}")
                return

    def _keep(self):
        with self.gateway_client() as c:
            while not self.ending.is_set():
                answer = c.get(self.path)
                self._count(answer)
                if answer.closes:
                    if not self.may_close:
                        self.failures.append("keep: the answer says close")
                    return

    def _once(self):
        with self.gateway_client() as c:
            self._count(c.get(self.path, {"Connection": "close"}))

    def _pipeline(self):
        with self.gateway_client() as c:
            while not self.ending.is_set():
                c.send(wire.request_bytes("GET", self.path) * 8)
                for _ in range(8):
                    self._count(c.answer())

    def _upload(self):
        with self.gateway_client() as c:
            while not self.ending.is_set():
                self._count(c.request("POST", self.path, chunks=[b"u" * 20000] * 5))

    def _download(self):
        with self.gateway_client() as c:
            while not self.ending.is_set():
                answer = c.get(self.path + "/large")
                self._count(answer)
                if len(answer.body) != 300000 and answer.status == 200:
                    self.failures.append(f"download of {len(answer.body)} bytes")

    def gateway_client(self):
        from .client import Client
        return Client(self.gateway.address, timeout=15)


def ordinary(turn):
    """The service that Load talks to."""
    from . import service
    large = turn.request.path.endswith("/large")
    (service.text("l" * 300000) if large else service.text("ok"))(turn)
