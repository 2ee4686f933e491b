"""Limits that several gateways keep together in one Redis, and what becomes of them when it is away."""
import threading
import time

import pytest

from stage import names
from stage.gateway import wait_until

CALLED = "evalsha"


def together(stage, redis, service=None, workers=2, count=1, stores=None, **limit):
    """Gateways whose limit "rate_limit" of the service "u" lies in one store."""
    service = service or stage.service()
    settings = {"scope": "cluster", "store": "redis:main", "rate": "60/h", "burst": 10, "key": "service", **limit}
    store = {"urls": [f"127.0.0.1:{redis.port}"], "timeout": "500ms", "connect_timeout": "500ms", **(stores or {})}
    found = [stage.proxy(service, workers=workers, service={"middleware": ["rate_limit"], "name": "u"},
                         stores={"redis": {"main": store}}, middleware_config={"rate_limit": settings})
             for _ in range(count)]
    for gw in found:
        gw.service = service
    return found if count > 1 else found[0]


def statuses(gw, count, **more):
    return [gw.get("/", **more).status for _ in range(count)]


def test_two_gateways_keep_one_limit(stage):
    a, b = together(stage, stage.redis(), count=2)
    got = [gw.get("/").status for _ in range(10) for gw in (a, b)]
    assert got.count(200) == 10
    assert got[:10] == [200] * 10
    assert int(a.last.headers["Retry-After"]) > 50
