"""Gateways that keep their limits together in one Redis, and many clients of all of them."""
import threading
import time


def together(stage, redis, service=None, workers=2, count=1, store=None, middleware=("rate_limit",), extra=None, **limit):
    """Gateways whose limit "rate_limit" of the service "u" lies in one store."""
    service = service or stage.service()
    port = redis if isinstance(redis, int) else redis.port
    made = []
    for _ in range(count):
        gw = stage.proxy(service, **config(port, workers, store, middleware, extra, **limit))
        gw.service = service
        made.append(gw)
    return made if count > 1 else made[0]


def config(port, workers=2, store=None, middleware=("rate_limit",), extra=None, **limit):
    limit = {"scope": "cluster", "store": "redis:main", "rate": "24/d", "burst": 10, "key": "service", **limit}
    at = {"urls": [f"127.0.0.1:{port}"], "timeout": "2s", "connect_timeout": "2s", **(store or {})}
    return dict(workers=workers, service={"middleware": list(middleware), "name": "u"}, stores={"redis": {"main": at}},
                middleware_config={"rate_limit": {k: v for k, v in limit.items() if v is not None}, **(extra or {})})


def statuses(gw, count, *args, **more):
    return [gw.get("/", *args, **more).status for _ in range(count)]


class Flood:
    """Requests from all sides at once. statuses[i] are those of gateways[i]."""

    def __init__(self, gateways, clients=4, headers=()):
        self.gateways, self.headers = gateways, headers
        self.statuses = [[] for _ in gateways]
        self.errors, self.longest = [], 0.0
        self.ending = threading.Event()
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                        for i in range(len(gateways)) for _ in range(clients)]

    def _run(self, i):
        try:
            with self.gateways[i].client() as c:
                while not self.ending.is_set():
                    begun = time.monotonic()
                    status = c.get("/", self.headers).status
                    took = time.monotonic() - begun
                    with self.changed:
                        self.statuses[i].append(status)
                        self.longest = max(self.longest, took)
                        self.changed.notify_all()
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(20)
        assert not self.errors, self.errors

    def count(self, status):
        return sum(s.count(status) for s in self.statuses)

    def answered(self):
        return sum(len(s) for s in self.statuses)

    def until(self, ready, seconds=30):
        with self.changed:
            assert self.changed.wait_for(lambda: ready() or self.errors, seconds), [len(s) for s in self.statuses]
        assert not self.errors, self.errors

    def more(self, count):
        goal = self.answered() + count
        self.until(lambda: self.answered() >= goal)

    def more_of(self, status, count, which):
        goal = self.statuses[which].count(status) + count
        self.until(lambda: self.statuses[which].count(status) >= goal)
