"""Outside stores: named in one place, resolved by the master, kept from whoever must not read them."""
import re

import pytest


def limited(stage, store, limit=None, **more):
    settings = {"scope": "cluster", "store": "redis:main", "rate": "6/h", "burst": 3, "key": "service", "sync": {"every": "0"},
                "on_store_failure": "deny", **(limit or {})}
    store = store if not isinstance(store, dict) else {"timeout": "2s", "connect_timeout": "2s", **store}
    return stage.proxy(stage.service(), service={"middleware": ["rate_limit"]}, stores={"redis": {"main": store}},
                       middleware_config={"rate_limit": settings}, **more)


def statuses(gw, count):
    return [gw.get("/").status for _ in range(count)]


@pytest.mark.parametrize("url", ["redis://localhost:{port}/0", "localhost:{port}", "127.0.0.1:{port}", "redis://LOCALHOST:{port}"])
def test_a_store_may_be_named_in_several_ways(stage, url):
    gw = limited(stage, {"urls": url.format(port=stage.redis().port)})
    assert statuses(gw, 4) == [200, 200, 200, 429]


def test_a_store_may_be_a_socket_of_this_machine(stage):
    redis = stage.redis("--unixsocket", stage.dir + "/redis.sock", "--unixsocketperm", "777")
    gw = limited(stage, {"urls": f"unix:{stage.dir}/redis.sock"})
    assert statuses(gw, 4) == [200, 200, 200, 429]
    assert redis.calls() > 0


def test_databases_are_apart_and_so_are_prefixes(stage):
    port = stage.redis().port
    for store in ({"urls": f"127.0.0.1:{port}/0"}, {"urls": f"127.0.0.1:{port}/1"}, {"urls": f"127.0.0.1:{port}/0", "key_prefix": "other:"}):
        assert statuses(limited(stage, store), 4) == [200, 200, 200, 429]
    assert statuses(limited(stage, {"urls": f"127.0.0.1:{port}/1"}), 1) == [429]


def test_a_password_opens_the_store_and_is_said_nowhere(stage):
    redis = stage.redis()
    redis.ask("CONFIG", "SET", "requirepass", "very-secret")
    gw = limited(stage, {"urls": f"127.0.0.1:{redis.port}", "password": "${STORE_PASSWORD}"}, environment={"STORE_PASSWORD": "very-secret"})
    assert statuses(gw, 4) == [200, 200, 200, 429]
    printed = stage.sluice("print", gw.config_path, environment={"STORE_PASSWORD": "very-secret"})
    assert printed.returncode == 0 and 'password: "***"' in printed.stdout
    assert "very-secret" not in printed.stdout + printed.stderr + gw.stderr() + gw.stdout()


def test_a_wrong_password_refuses_and_is_not_said(stage):
    redis = stage.redis()
    redis.ask("CONFIG", "SET", "requirepass", "very-secret")
    gw = limited(stage, {"urls": f"127.0.0.1:{redis.port}", "password": "guessed-secret"})
    assert statuses(gw, 2) == [429, 429]
    gw.wait_stderr("store|redis")
    assert "-secret" not in gw.stderr()


def test_a_store_without_an_address_starts_as_one_that_is_away(stage):
    gw = limited(stage, {"urls": "nobody.invalid"}, limit={"on_store_failure": "allow"})
    assert statuses(gw, 5) == [200] * 5
    gw.wait_stderr(r"stores\.redis\.main: the name nobody\.invalid has no address now")


def test_a_reload_moves_a_limit_to_another_store(stage):
    one, other = stage.redis(), stage.redis()
    gw = limited(stage, {"urls": f"127.0.0.1:{one.port}"})
    with gw.client() as c:
        assert [c.get("/").status for _ in range(4)] == [200, 200, 200, 429]
        gw.config["stores"]["redis"]["main"]["urls"] = f"127.0.0.1:{other.port}"
        gw.reload(**gw.config)
        assert [c.get("/").status for _ in range(4)] == [200, 200, 200, 429]
        gw.config["stores"]["redis"]["main"]["urls"] = f"127.0.0.1:{one.port}"
        gw.reload(**gw.config)
        assert c.get("/").status == 429


@pytest.mark.parametrize("stores,limit,said", [
    ({"main": "h"}, {"store": "redis:man"}, r'store: there is no stores\.redis\.man; did you mean "redis:main"\?'),
    ({"main": "h"}, {"store": "redis:elsewhere"}, r"store: there is no stores\.redis\.elsewhere"),
    ({}, {}, r"store: there is no stores\.redis\.main"),
    ({"main": "h"}, {"store": "main"}, r'store: must be redis:NAME, where NAME is one of stores\.redis, is "main"'),
    ({"main": {"urls": "h", "mode": "sentinel"}}, {}, r'stores\.redis\.main: "master_name" is missing'),
    ({"main": {"urls": "rediss://h"}}, {}, r"stores\.redis\.main\.urls: Redis is asked without TLS"),
    ({"main": {"urls": "redis://u:very-secret@h"}}, {}, r"stores\.redis\.main\.urls: must hold no user or password"),
    ({"main": {"urls": ["a", "b"]}}, {}, r"a single Redis has one url"),
    ({"main": {"urls": "h", "tls": True}}, {}, r'stores\.redis\.main: unknown key "tls"'),
])
def test_mistakes_are_told_with_their_place_and_without_secrets(stage, stores, limit, said):
    gw = stage.proxy(stage.service())
    gw.write(stores={"redis": stores}, services=[{"name": "u", "route_pattern": "/", "urls": ["http://127.0.0.1:1"], "middleware": ["rate_limit"]}],
             middleware_config={"rate_limit": {"scope": "cluster", "store": "redis:main", **limit}})
    done = stage.sluice("check", gw.config_path)
    assert done.returncode == 1 and re.search(r"config\.yaml:\d+:\d+: .*" + said, done.stderr), done.stderr
    assert "very-secret" not in done.stderr + done.stdout
