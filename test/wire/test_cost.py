"""What a request has cost, by its service's word (cost_header)."""
import pytest

from stage.service import text


def costing(stage, said, **more):
    """One limit of the whole gateway and one of the service, both by the same header."""
    base = {"type": "rate_limit", "rate": "1/d", "burst": 100, "headers_when": "always", "headers": ["draft"], "cost_header": "X-Cost"}
    return stage.proxy(stage.service(text("ok", headers=[("X-Cost", said)])), middleware=["outer"],
                       service={"middleware": ["inner"], "name": "u"}, workers=1,
                       middleware_config={"outer": {**base, "key": "global", **more}, "inner": {**base, "key": "service"}})


def left(answer):
    said = ", ".join(answer.headers.all("RateLimit"))
    return [int(said.split(f'"{name}";r=')[1].split(";")[0]) for name in ("outer", "inner")]


def test_each_limit_on_the_way_settles_what_the_service_says(stage):
    gw = costing(stage, "5")
    gw.get("/")
    answer = gw.get("/")
    assert left(answer) == [94, 94]                       # 5, and 1 which is settled after it was said
    assert answer.headers.all("X-Cost") == []


def test_who_is_exempt_from_the_outer_limit_is_not_told_either(stage):
    gw = costing(stage, "5", exempt={"ips": ["127.0.0.1"]})
    assert gw.get("/").headers.all("X-Cost") == []


@pytest.mark.parametrize("said", ["2147483647", "2147483648", "18446744073709551615"])
def test_what_costs_more_than_there_is_uses_up_all(stage, said):
    gw = costing(stage, said)
    assert [gw.get("/").status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("said", ["many", "-1", "1.5", "", "5 5"])
def test_what_is_no_number_changes_nothing(stage, said):
    gw = costing(stage, said)
    gw.get("/")
    assert left(gw.get("/")) == [98, 98]
