"""One line of JSON for each request, whatever became of it."""
import json
import os
import re
import signal

import pytest

from stage import names
from stage import service as acts

FIELDS = {"method", "path", "status", "latency_ms", "service", "client", "reason"}


def test_a_line_says_who_asked_what_and_what_became_of_it(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/u", name="users")])
    gw.post("/u/7?x=1", b"abc")
    line, = gw.wait_records()
    assert FIELDS <= set(line)
    assert (line["method"], line["status"], line["service"], line["reason"]) == ("POST", 200, "users", names.OK)
    assert line["path"].startswith("/u/7") and line["client"] == "127.0.0.1"
    assert isinstance(line["latency_ms"], (int, float)) and 0 <= line["latency_ms"] < 5000


def test_latency_is_in_milliseconds(stage):
    s = stage.service(answers=acts.drip(b"abcd", every=0.1))
    gw = stage.proxy(s)
    gw.get()
    assert 290 <= gw.wait_records()[0]["latency_ms"] <= 2000


@pytest.mark.parametrize("what, status, reason", [
    ("nowhere", 404, names.NO_ROUTE), ("no key", 401, names.AUTH_FAILED), ("too many", 429, names.RATE_LIMITED),
    ("refused", 502, names.CONNECT_FAILED), ("hangs", 504, names.UPSTREAM_TIMEOUT), ("lies", 502, names.UPSTREAM_BAD),
    ("bad", 400, names.BAD_REQUEST),
])
def test_every_end_has_its_reason(stage, what, status, reason):
    away, hangs, lies = stage.service(), stage.service(answers=acts.hang), stage.service(answers=acts.raw(b"junk\r\n\r\n", then="close"))
    away.away()
    gw = stage.gateway(timeouts={"upstream_header": "200ms", "upstream_connect": "100ms"},
                       middleware_config={"auth_apikey": {"valid_keys": ["k"]}, "rate_limit": {"rate": "1/h", "burst": 1}}, services=[
        stage.route(away, path="/away", name="away"), stage.route(hangs, path="/hangs", name="hangs"), stage.route(lies, path="/lies", name="lies"),
        stage.route(away, path="/key", name="key", middleware=["auth_apikey"]),
        stage.route(lies, path="/limit", name="limit", middleware=["rate_limit"])])
    expected = 1
    if what == "bad":
        assert gw.raw(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n").answer().status == 400
    else:
        path = {"nowhere": "/nowhere", "no key": "/key", "too many": "/limit", "refused": "/away", "hangs": "/hangs", "lies": "/lies"}[what]
        if what == "too many":
            gw.get(path)
            expected = 2
        assert gw.get(path).status == status
    assert {line["status"]: line["reason"] for line in gw.wait_records(expected)}[status] == reason


def test_there_is_exactly_one_line_for_each_request(stage):
    gw = stage.proxy(stage.service(), workers=2)
    clients = [gw.client() for _ in range(20)]
    for turn in range(10):
        for n, c in enumerate(clients):
            c.ask("GET", f"/{turn}/{n}")
        for c in clients:
            assert c.answer().status == 200
    lines = gw.wait_records(200)
    assert len(lines) == 200 and len({line["path"] for line in lines}) == 200


def test_hostile_text_stays_inside_its_string(stage):
    gw = stage.proxy(stage.service())
    gw.raw(b'GET /"quoted"/{} HTTP/1.1\r\nHost: a\r\nUser-Agent: "\\\xff\xc3(\r\n\r\n').answer()
    gw.raw(b'GET /?q="%22\' HTTP/1.1\r\nHost: a\r\nReferer: \x80\xfe\r\n\r\n').answer()
    lines = gw.wait_records(2)
    assert '"quoted"' in lines[0]["path"] or lines[0]["status"] == 400
    with open(gw.access_log, "rb") as file:
        for raw in file.read().splitlines():
            raw.decode("utf-8")
            json.loads(raw)


def test_keys_are_never_in_the_log(stage):
    gw = stage.proxy(stage.service(), service={"middleware": ["auth_apikey"]}, middleware_config={"auth_apikey": {"valid_keys": ["very-secret"]}})
    gw.get("/", {"X-API-KEY": "very-secret"})
    gw.get("/", {"X-API-KEY": "wrong-secret"})
    gw.wait_records(2)
    assert "secret" not in gw.records_tail() and "secret" not in gw.stderr()


def test_everything_is_written_before_the_end(stage):
    gw = stage.proxy(stage.service())
    with gw.client() as c:
        for n in range(500):
            assert c.get(f"/{n}").status == 200
    assert gw.stop() == 0
    assert len(gw.records()) == 500


def test_a_log_that_cannot_be_written_stops_nobody(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], logging={"access": [{"to": "file:/dev/full"}]})
    with gw.client() as c:
        for _ in range(200):
            assert c.get().status == 200


def test_a_log_that_blocks_stops_nobody(stage):
    directory = stage.new_dir()
    pipe = os.path.join(directory, "pipe")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)      # opened and never read
    try:
        gw = stage.gateway(services=[stage.route(stage.service(), path="/")], logging={"access": [{"to": "file:" + pipe}]})
        with gw.client() as c:
            for n in range(1500):
                assert c.get("/" + "x" * 200).status == 200
        assert gw.get("/health").status == 200
    finally:
        os.close(reader)


def test_the_log_may_go_to_stdout(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], logging={"access": [{"to": "stdout"}]})
    gw.get("/to-stdout")
    line = gw.wait_records(1, path=gw.stdout_path)[0]
    assert line["path"] == "/to-stdout"


def test_no_access_log_is_no_line(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")], logging={"access": []})
    gw.get()
    assert gw.stop() == 0
    assert gw.records() == [] and '"path"' not in gw.stdout()


def test_a_reload_may_move_the_log(stage):
    gw = stage.proxy(stage.service())
    gw.get("/one")
    gw.wait_records(1)
    other = gw.dir + "/other.log"
    gw.reload(**{**gw.config, "logging": {"access": [{"to": "file:" + other}]}})
    gw.get("/two")
    assert gw.wait_records(1, path=other)[0]["path"] == "/two"
    assert [line["path"] for line in gw.records()] == ["/one"]


def test_there_may_be_two_logs(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/")])
    second = gw.dir + "/second.log"
    gw.reload(**{**gw.config, "logging": {"access": [{"to": "file:" + gw.access_log}, {"to": "file:" + second}]}})
    gw.get("/both")
    assert gw.wait_records(1)[0] == gw.wait_records(1, path=second)[0]


def test_the_fields_of_a_line_are_chosen(stage):
    gw = stage.proxy(stage.service(), logging={"access": [{"to": "file:@DIR@/chosen.log", "fields": ["status", "path"]}]})
    gw.get("/x")
    assert gw.wait_records(1, path=gw.dir + "/chosen.log") == [{"path": "/x", "status": 200}]


def test_a_query_is_not_in_the_log(stage):
    """It may hold secrets."""
    gw = stage.proxy(stage.service())
    gw.get("/x?token=very-secret")
    assert gw.wait_records(1)[0]["path"] == "/x" and "very-secret" not in gw.records_tail()


def test_bytes_are_counted_without_framing(stage):
    gw = stage.proxy(stage.service(answers=acts.chunked(b"a" * 1000, b"b" * 24)))
    gw.request("POST", "/", chunks=[b"x" * 10, b"y" * 20])
    line = gw.wait_records(1)[0]
    assert (line["bytes_in"], line["bytes_out"], line["attempts"], line["upstream_status"]) == (30, 1024, 1, 200)


def test_the_error_log_is_json_and_a_reload_changes_its_form_and_level_in_the_master_too(stage):
    gw = stage.proxy(stage.service())
    gw.hup()
    said = [json.loads(line) for line in gw.stderr().splitlines()]
    assert {"ts", "level", "role", "pid", "message"} == set(said[-1])
    assert any(line["role"] == "master" and "generation 2" in line["message"] for line in said), said
    gw.reload(services=gw.config["services"], logging={"error": {"format": "text"}})
    assert re.search(r"^\S+Z info master\[\d+\]: generation 3 ", gw.stderr(), re.M), gw.stderr()
    gw.reload(services=gw.config["services"], logging={"level": "error"})
    before = gw.stderr()
    gw.hup()
    assert gw.stderr() == before                  # a reload that was taken is no error
    gw.write_text("nonsense: 1\n")
    gw.signal(signal.SIGHUP)
    gw.wait_stderr('"level":"error","role":"master".*reload refused')
