"""Limits that several services share (key: global), beside one of the whole gateway."""
import re

import pytest


def sharing(stage, first, second, **more):
    gw = stage.proxy(stage.service())
    services = [{"name": name, "route_pattern": f"/{name}", "urls": ["http://127.0.0.1:1"],
                 "middleware": [{"all": {"rate": rate}}]} for name, rate in (("a", first), ("b", second))]
    gw.write(services=services, middleware_config={"all": {"type": "rate_limit", "key": "global", "burst": 10}}, **more)
    return stage.sluice("check", gw.config_path)


def test_a_shared_limit_of_two_numbers_is_warned_of_with_its_place(stage):
    done = sharing(stage, "5/s", "6/s")
    assert done.returncode == 0
    assert re.search(r"config\.yaml:\d+:\d+: warning: b: the limit \*/all, .* token_bucket 5/s burst 10 in another place", done.stderr), done.stderr


def test_a_shared_limit_of_the_same_numbers_is_not(stage):
    done = sharing(stage, "5/s", "5/s")
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr


@pytest.mark.parametrize("key", ["global", "service"])
def test_a_limit_of_the_gateway_and_one_of_a_service_of_one_name_count_apart(stage, key):
    gw = stage.proxy(stage.service(), middleware=["all"], service={"name": "u", "middleware": ["all"]}, workers=1,
                     middleware_config={"all": {"type": "rate_limit", "key": key, "rate": "1/d", "burst": 6}})
    assert [gw.get("/").status for _ in range(8)] == [200] * 6 + [429] * 2
