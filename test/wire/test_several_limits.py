"""Several limits on the way of one request: what they say together, and who is banned."""
import json
import re

import pytest

from stage.service import text


def two(stage, outer, inner, answers="ok"):
    """One limit of the whole gateway and one of the service, both saying always what is left."""
    base = {"type": "rate_limit", "rate": "24/d", "headers_when": "always"}
    return stage.proxy(stage.service(answers), middleware=["outer"], service={"middleware": ["inner"], "name": "u"}, workers=1,
                       middleware_config={"outer": {**base, "key": "global", **outer}, "inner": {**base, "key": "service", **inner}})


@pytest.mark.parametrize("outer, inner", [(9, 3), (3, 9), (3, 3)])
def test_the_older_fields_are_said_once_and_of_the_limit_that_leaves_less(stage, outer, inner):
    gw = two(stage, {"burst": outer}, {"burst": inner})
    for left in (2, 1, 0, 0):
        answer = gw.get("/")
        assert [answer.headers.all(f"X-RateLimit-{name}") for name in ("Limit", "Remaining")] == [["3"], [str(left)]]
        assert len(answer.headers.all("X-RateLimit-Reset")) == 1
    assert answer.status == 429


def test_the_newer_fields_are_lists_and_say_all(stage):
    gw = two(stage, {"burst": 9}, {"burst": 3})
    said = ", ".join(gw.get("/").headers.all("RateLimit"))
    assert '"outer";r=8;' in said and '"inner";r=2;' in said


@pytest.mark.parametrize("said, told", [("1", ("5", "1", "7")), ("100", ("3", "2", "3600")), ("many", ("3", "2", "3600"))])
def test_what_a_service_says_of_a_limit_of_its_own_stands_if_it_leaves_less(stage, said, told):
    answers = text("ok", headers=[("X-RateLimit-Limit", "5"), ("X-RateLimit-Remaining", said), ("X-RateLimit-Reset", "7")])
    answer = two(stage, {"burst": 9}, {"burst": 3}, answers).get("/")
    assert tuple(answer.headers.all(f"X-RateLimit-{name}") for name in ("Limit", "Remaining", "Reset")) == \
        tuple([value] for value in told)


@pytest.mark.parametrize("after", [1, 2, 5])
def test_as_many_refusals_as_said_lead_to_a_ban(stage, after):
    gw = stage.proxy(stage.service(), service={"middleware": ["rate_limit"]}, workers=1,
                     middleware_config={"rate_limit": {"rate": "1/s", "burst": 1, "ban": {"after": after, "within": "1d", "for": "1h"}}})
    assert gw.get("/").status == 200
    told = []
    while len(told) < after + 2:
        answer = gw.get("/")
        if answer.status == 429:                          # a second may have passed: then one more is let in
            told.append(int(answer.headers["Retry-After"]))
    assert told[:after - 1] == [1] * (after - 1)
    assert all(3590 < seconds <= 3600 for seconds in told[after - 1:])      # who is told to come again is let in then


@pytest.mark.parametrize("source, steps, warned", [
    ("consumer", ["rate_limit", "auth_apikey"], "consumer"), ("user", ["rate_limit"], "user"), ("api_key", ["rate_limit", "auth_apikey"], "api_key"),
    ("header:X-Tenant|consumer", ["rate_limit"], "consumer"), ("consumer", ["auth_apikey", "rate_limit"], None), ("auto", ["rate_limit"], None),
    ("ip", ["rate_limit", "auth_apikey"], None)])
@pytest.mark.parametrize("step", [{"type": "rate_limit"}, {"type": "concurrency", "max": 5}])
def test_a_key_that_no_step_before_has_found_out_is_warned_of(stage, step, source, steps, warned):
    path = stage.new_dir() + "/config.yaml"
    limit = {**step, "key": source}
    with open(path, "w") as file:
        json.dump({"middleware_config": {"limit": limit, "auth_apikey": {"valid_keys": ["k"]}},
                   "services": [{"name": "u", "route_pattern": "/", "urls": ["http://127.0.0.1:1"],
                                 "middleware": [{"rate_limit": "limit"}.get(name, name) for name in steps]}]}, file)
    done = stage.sluice("check", path)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "warning" in line]
    assert done.returncode == 0 and len(said) == (1 if warned else 0), said
    assert not warned or re.search(rf"config\.yaml:\d+:\d+: warning: .*key: no request has a {warned} here", said[0])
