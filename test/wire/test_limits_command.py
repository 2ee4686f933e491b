"""`sluice limits`: whom the limits of a running gateway refuse and take, by name, and what is left to each."""
import hashlib
import json
import os
import signal
import subprocess

import pytest

from stage.client import Client
from stage.crowd import Counting, ask, wait_gauges
from stage.crowd import limited as crowded
from stage.gateway import binary, wait_until
from stage.ports import free_port

HOUR = {"rate": "6/h", "burst": 3}                       # nothing comes back while a test runs

EVERYBODY = {"type": "rate_limit", "rate": "100/h", "burst": 100, "key": ["global"]}


def limited(stage, middleware=("rate_limit",), limit=HOUR, workers=2, name="u", **more):
    s = stage.service()
    return stage.proxy(s, workers=workers, service={"middleware": list(middleware), "name": name},
                       middleware_config={"rate_limit": limit, **more.pop("settings", {})}, **more)


def limits(stage, gw, *arguments):
    done = stage.sluice("limits", "--json", *arguments, gw.config_path)
    assert done.returncode == 0, done.stderr
    return {one["limit"]: one for one in json.loads(done.stdout)}


def keys(stage, gw, *arguments, limit="u/rate_limit"):
    return {row["key"]: row for row in limits(stage, gw, *arguments)[limit]["keys"]}


def counts(row):
    return row["taken"], row["refused"], row["left"]


def test_clients_are_shown_by_address_with_what_they_had_and_what_is_left(stage):
    gw = limited(stage)
    for source, tries in (("127.0.0.1", 7), ("127.0.0.2", 2)):
        for _ in range(tries):
            gw.get("/", source=source)
    limit = limits(stage, gw)["u/rate_limit"]
    assert (limit["algorithm"], limit["count"], limit["period_s"], limit["burst"]) == ("token_bucket", 6, 3600, 3)
    assert [row["key"] for row in limit["keys"]] == ["127.0.0.1", "127.0.0.2"]           # the most refused first
    assert counts(limit["keys"][0]) == (3, 4, 0) and counts(limit["keys"][1]) == (2, 0, 1)
    assert 0 < limit["keys"][0]["retry_ms"] <= 600_000 and limit["keys"][1]["retry_ms"] == 0


def test_it_ranks_by_what_was_taken_when_asked_and_shows_no_more_than_asked(stage):
    gw = limited(stage, limit={"rate": "6/h", "burst": 5})
    for source, tries in (("127.0.0.1", 5), ("127.0.0.2", 3), ("127.0.0.3", 4)):
        for _ in range(tries):
            gw.get("/", source=source)
    assert list(keys(stage, gw, "--by", "taken", "--top", "2")) == ["127.0.0.1", "127.0.0.3"]
    assert list(keys(stage, gw, "--by", "refused", "--top", "1")) == ["127.0.0.1"]


def test_people_get_a_table(stage):
    gw = limited(stage)
    for _ in range(5):
        gw.get("/")
    done = stage.sluice("limits", gw.config_path)
    assert done.returncode == 0
    title, head, row = done.stdout.splitlines()[:3]
    assert title == "u/rate_limit: token_bucket 6/h burst 3"
    assert head.split() == ["refused/s", "taken/s", "refused", "taken", "left", "key"]
    assert row.split()[2:] == ["2", "3", "0", "127.0.0.1"]


def test_an_api_key_is_never_shown(stage):
    gw = limited(stage, middleware=("auth_apikey", "rate_limit"),
                 settings={"auth_apikey": {"valid_keys": ["abcdefgh-very-secret", "abcdefgh-other-secret"]}})
    for key in ("abcdefgh-very-secret", "abcdefgh-other-secret"):
        gw.get("/", {"X-API-KEY": key})
    shown = list(keys(stage, gw))
    assert len(shown) == 2 and all(one.startswith("api_key:abcd\N{HORIZONTAL ELLIPSIS}#") for one in shown), shown
    assert "secret" not in stage.sluice("limits", gw.config_path).stdout


@pytest.mark.parametrize("source, headers, path, begins", [
    ("header:X-Tenant", {"X-Tenant": "acme-and-sons"}, "/", "header:X-Tenant=acme-a"),
    ("cookie:sid", {"Cookie": "sid=0123456789abcdef"}, "/", "cookie:sid=0123"),
    ("query:user", {}, "/?user=somebody", "query:user=some"),
    ("header:X-Tenant", {"X-Tenant": "a\x80b\xffcccc"}, "/", "header:X-Tenant=a\\x80b\\xff"),
])
def test_what_a_client_says_is_shortened_and_escaped(stage, source, headers, path, begins):
    gw = limited(stage, limit={**HOUR, "key": [source]})
    gw.get(path, headers)
    key, = keys(stage, gw)
    start, hash_ = key.split("\N{HORIZONTAL ELLIPSIS}#")
    assert start == begins and len(hash_) == 8 and key.isprintable(), key


def test_bytes_of_a_client_never_reach_the_terminal(stage):
    gw = limited(stage, limit={**HOUR, "key": ["query:q"]})
    gw.get("/?q=%1b%5b2J%0a%07%c2%9b%31xxxxxxxxxxxxxxxxxxxxxx")
    done = stage.sluice("limits", gw.config_path)
    assert "\\x1b[2J\\x0a" in done.stdout
    assert all(c.isprintable() or c == "\n" for c in done.stdout)


def test_members_of_a_key_are_shown_together(stage):
    gw = limited(stage, limit={**HOUR, "key": ["ip", "route", "header:X-Who"]})
    gw.get("/")
    key, = keys(stage, gw)
    assert key == "127.0.0.1 route:/ 127.0.0.1"           # an address takes the place of what is missing


@pytest.mark.parametrize("algorithm", ["token_bucket", "leaky_bucket", "fixed_window", "sliding_window", "sliding_log", "gcra"])
def test_what_is_left_is_told_for_every_algorithm(stage, algorithm):
    gw = limited(stage, limit={"rate": "4/d", "burst": 4, "algorithm": algorithm})
    for _ in range(3):
        gw.get("/")
    assert counts(keys(stage, gw)["127.0.0.1"]) == (3, 0, 1)
    gw.get("/"), gw.get("/")
    row = keys(stage, gw)["127.0.0.1"]
    assert counts(row) == (4, 1, 0) and row["retry_ms"] > 0


def test_of_so_many_at_once_it_is_said_who_has_how_many_now_and_who_waits(stage):
    act = Counting()
    gw = crowded(stage, act, max=2, queue=1, queue_timeout="30s", key="ip")
    clients = ask(gw, 2)
    act.wait_now(2)
    clients += ask(gw, 1, source="127.0.0.2")
    act.wait_now(3)
    clients += ask(gw, 1)
    wait_gauges(gw, 3, 1)
    assert gw.get("/").status == 429
    limit = limits(stage, gw)["u/concurrency"]
    assert (limit["algorithm"], limit["max"], limit["max_now"], limit["queue"]) == ("concurrency", 2, 2, 1)
    assert [(row["key"], row["refused"], row["taken"], row["now"], row["waiting"]) for row in limit["keys"]] == [
        ("127.0.0.1", 1, 2, 2, 1), ("127.0.0.2", 0, 1, 1, 0)]
    title, head, row = stage.sluice("limits", "--limit", "u/concurrency", gw.config_path).stdout.splitlines()[:3]
    assert title == "u/concurrency: concurrency max 2 queue 1"
    assert head.split() == ["refused/s", "taken/s", "refused", "taken", "now", "max", "waiting", "key"]
    assert row.split()[2:] == ["1", "2", "2", "2", "1", "127.0.0.1"]
    act.let_go()
    assert all(c.answer().status == 200 for c in clients)
    wait_gauges(gw, 0)
    assert [(row["taken"], row["now"], row["waiting"]) for row in limits(stage, gw)["u/concurrency"]["keys"]] == [(3, 0, 0), (1, 0, 0)]


def test_of_so_many_at_once_a_reload_is_seen_and_what_the_dead_had_is_not(stage):
    act = Counting()
    gw = crowded(stage, act, max=2, key="ip")
    ask(gw, 2)
    act.wait_now(2)
    services = [{**gw.config["services"][0], "middleware": [{"concurrency": {"max": 5, "key": "ip", "queue": 7}}]}]
    gw.reload(**{**gw.config, "services": services})
    limit = wait_until(lambda: next((one for one in limits(stage, gw).values() if one["max"] == 5), None))
    assert limit["queue"] == 7 and [row["now"] for row in limit["keys"]] == [2]
    before = gw.workers()
    for victim in before:
        os.kill(victim, signal.SIGKILL)
    gw.wait_workers(2, without=before)
    wait_until(lambda: keys(stage, gw, limit="u/concurrency")["127.0.0.1"]["now"] == 0)


def test_so_many_at_once_by_plan_is_a_table_for_each_plan(stage):
    act = Counting()
    s = stage.service(answers=act)
    consumers = [{"name": name, "plan": plan, "keys": [{"sha256": hashlib.sha256(f"key-of-{name}".encode()).hexdigest()}]}
                 for name, plan in (("ann", "small"), ("bob", "large"))]
    gw = stage.proxy(s, service={"name": "u", "middleware": ["auth_apikey", {"concurrency": {"max": "plan", "key": "consumer"}}]},
                     plans={"small": {"rate": "9/s", "concurrency": 1}, "large": {"rate": "9/s", "concurrency": 5}}, consumers=consumers)
    clients = [gw.client() for _ in range(2)]
    for c, who in zip(clients, ("ann", "bob")):
        c.ask("GET", "/", {"X-API-KEY": f"key-of-{who}"})
    act.wait_now(2)
    assert gw.get("/", {"X-API-KEY": "key-of-ann"}).status == 429
    shown = limits(stage, gw)
    assert {name: [(one["max"], row["key"], row["refused"], row["now"]) for row in one["keys"]] for name, one in shown.items()} == {
        "u/concurrency:small": [(1, "consumer:ann", 1, 1)], "u/concurrency:large": [(5, "consumer:bob", 0, 1)]}
    act.let_go()
    assert all(c.answer().status == 200 for c in clients)


def test_to_look_takes_nothing(stage):
    gw = limited(stage)
    gw.get("/")
    assert [keys(stage, gw)["127.0.0.1"]["left"] for _ in range(5)] == [2] * 5
    assert [gw.get("/").status for _ in range(3)] == [200, 200, 429]


def test_each_limit_has_its_own_table_and_one_may_be_asked_for(stage):
    s = stage.service()
    gw = stage.gateway(middleware=["everybody"], middleware_config={"everybody": EVERYBODY},
                       services=[stage.route(s, path="/a", name="a", middleware=["rate_limit"]),
                                 stage.route(s, path="/b", name="b", middleware=["rate_limit"])])
    gw.get("/a"), gw.get("/b"), gw.get("/nowhere")
    shown = limits(stage, gw)
    assert {name: [row["key"] for row in one["keys"]] for name, one in shown.items()} == {
        "/everybody": ["global"], "a/rate_limit": ["127.0.0.1"], "b/rate_limit": ["127.0.0.1"]}
    assert shown["/everybody"]["keys"][0]["taken"] == 3
    assert list(limits(stage, gw, "--limit", "b/rate_limit")) == ["b/rate_limit"]
    done = stage.sluice("limits", "--limit", "c/rate_limit", gw.config_path)
    assert done.returncode == 1 and "c/rate_limit" in done.stderr


def test_who_is_in_shadow_is_counted_as_refused_and_who_is_exempt_not_at_all(stage):
    gw = limited(stage, limit={**HOUR, "mode": "shadow", "exempt": {"ips": ["127.0.0.9"]}})
    assert [gw.get("/").status for _ in range(5)] == [200] * 5
    gw.get("/", source="127.0.0.9")
    shown = keys(stage, gw)
    assert list(shown) == ["127.0.0.1"] and counts(shown["127.0.0.1"]) == (3, 2, 0)


def test_the_heavy_ones_are_found_among_thousands(stage):
    """Far more clients than places: who asks most is there all the same, and is said to have had no more than it had."""
    gw = limited(stage, workers=1, limit={"rate": "1000/s", "burst": 100000, "key": ["query:c"]})
    with Client(gw.address) as c:
        for n in range(1500):
            c.send(b"".join(b"GET /?c=%s HTTP/1.1\r\nHost: a\r\n\r\n" % who for who in (b"one-and-only", b"passer-by-%d" % n)))
            assert [c.answer().status for _ in range(2)] == [200, 200]
    rows = list(keys(stage, gw, "--by", "taken").values())
    assert rows[0]["key"].startswith("query:c=one-an")
    # all of the first 256 events of a second count, of others one in 32 by chance stands for the rest
    assert 1500 / 3 < rows[0]["taken"] < 1500 * 2
    assert rows[0]["taken_per_second"] > 5 * rows[1]["taken_per_second"]


def test_names_and_counts_live_through_a_reload_and_the_death_of_a_worker(stage):
    gw = limited(stage, workers=1)
    gw.may_crash = True
    for _ in range(5):
        gw.get("/")
    gw.reload(**{**gw.config, "errors": {"format": "text"}})
    victim, = gw.workers()
    os.kill(victim, signal.SIGKILL)
    gw.wait_workers(1, without=[victim])
    assert counts(keys(stage, gw)["127.0.0.1"]) == (3, 2, 0)
    wait_until(lambda: gw.get("/").status == 429)
    assert keys(stage, gw)["127.0.0.1"]["refused"] >= 3


def test_a_limit_that_is_gone_is_not_shown(stage):
    gw = limited(stage)
    gw.get("/")
    services = [{**gw.config["services"][0], "middleware": []}]
    gw.reload(**{**gw.config, "services": services})
    wait_until(lambda: limits(stage, gw) == {})


def test_a_reload_says_what_becomes_of_the_state(stage):
    gw = limited(stage, limit={"rate": "6/h", "burst": 3})
    assert [gw.get("/").status for _ in range(4)] == [200, 200, 200, 429]
    gw.reload(**{**gw.config, "middleware_config": {"rate_limit": {"rate": "60/h", "burst": 5}}})
    gw.wait_stderr(r"the limit u/rate_limit changes from token_bucket 6/h burst 3 to token_bucket 60/h burst 5: "
                   r"what its clients have used still counts")
    assert counts(keys(stage, gw)["127.0.0.1"]) == (3, 1, 2)
    assert [gw.get("/").status for _ in range(3)] == [200, 200, 429]
    gw.reload(**{**gw.config, "middleware_config": {"rate_limit": {"rate": "60/d", "algorithm": "fixed_window"}}})
    gw.wait_stderr(r"changes from token_bucket 60/h burst 5 to fixed_window 60/d: its state starts afresh")
    assert gw.get("/").status == 200
    assert limits(stage, gw)["u/rate_limit"]["algorithm"] == "fixed_window"
    assert keys(stage, gw)["127.0.0.1"]["left"] == 59
    said = gw.stderr().count("the limit u/rate_limit changes")
    gw.hup()                                             # nothing has changed
    gw.reload(**{**gw.config, "errors": {"format": "text"}})
    assert said == gw.stderr().count("the limit u/rate_limit changes") == 2


def test_a_log_of_another_size_starts_afresh_and_says_so(stage):
    log = {"rate": "3/d", "algorithm": "sliding_log", "log_keys": 1000}
    gw = limited(stage, limit=log)
    assert [gw.get("/").status for _ in range(4)] == [200, 200, 200, 429]
    gw.reload(**{**gw.config, "middleware_config": {"rate_limit": {**log, "log_keys": 1001}}})          # the same power of two
    assert gw.get("/").status == 429 and "changes its size" not in gw.stderr()
    gw.reload(**{**gw.config, "middleware_config": {"rate_limit": {**log, "log_keys": 5000}}})
    gw.wait_stderr(r"the log of the limit u/rate_limit changes its size: its state starts afresh")
    assert gw.get("/").status == 200


def test_of_a_limit_in_a_store_nobody_here_knows_what_is_left(stage):
    store = {"stores": {"redis": {"main": {"urls": [f"127.0.0.1:{free_port()}"]}}}}
    gw = limited(stage, **store)
    gw.get("/")
    limit = {**HOUR, "scope": "cluster", "store": "redis:main", "on_store_failure": "allow"}
    gw.reload(**{**gw.config, **store, "middleware_config": {"rate_limit": limit}})
    gw.wait_stderr(r"the limit u/rate_limit changes from token_bucket 6/h burst 3 to token_bucket 6/h burst 3 in a store: "
                   r"its state starts afresh")
    gw.get("/")
    shown = limits(stage, gw)["u/rate_limit"]
    assert shown["scope"] == "cluster" and shown["keys"][0]["taken"] == 2 and "left" not in shown["keys"][0]
    row, = [line for line in stage.sluice("limits", gw.config_path).stdout.splitlines() if "127.0.0.1" in line]
    assert row.split()[-2:] == ["-", "127.0.0.1"]


def test_a_limit_of_the_whole_gateway_is_told_of_once(stage):
    s = stage.service()
    services = [stage.route(s, path=f"/{n}", name=f"s{n}") for n in range(5)]
    gw = stage.gateway(middleware=["everybody"], middleware_config={"everybody": EVERYBODY}, services=services)
    gw.reload(**{**gw.config, "middleware_config": {"everybody": {**EVERYBODY, "rate": "200/h"}}})
    assert gw.stderr().count("the limit /everybody changes from token_bucket 100/h burst 100 to token_bucket 200/h burst 100") == 1


@pytest.mark.parametrize("arguments", [["--by", "size"], ["--top", "0"], ["--top", "many"], ["--top", "1001"]])
def test_wrong_usage_is_told(stage, arguments):
    done = stage.sluice("limits", *arguments)
    assert done.returncode == 2 and arguments[0] in done.stderr and arguments[1] in done.stderr


def test_without_a_running_gateway_it_says_so(stage):
    gw = limited(stage)
    gw.stop()
    done = stage.sluice("limits", gw.config_path)
    assert done.returncode == 3 and "nobody runs" in done.stderr


def test_who_watches_sees_it_again_until_the_gateway_ends(stage):
    gw = limited(stage)
    gw.get("/")
    with subprocess.Popen([binary(), "limits", "--watch", "--pid-file", gw.pid_file], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        seen = [watching.stdout.readline() for _ in range(7)]
        assert [line.split(":")[0] for line in seen].count("u/rate_limit") == 2
        gw.stop()
        assert watching.wait(20) == 3


def test_a_limit_that_nobody_has_used_is_shown_without_clients(stage):
    gw = limited(stage)
    assert keys(stage, gw) == {}
    assert stage.sluice("limits", gw.config_path).stdout.startswith("u/rate_limit: token_bucket 6/h burst 3\n")
