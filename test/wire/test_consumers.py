"""Consumers: who has one of their keys is somebody, with a name, a plan, and bounds."""
import datetime
import hashlib
import re

import pytest

from stage import names
from stage.gateway import wait_until
from stage.service import gate


def sha256(key):
    return hashlib.sha256(key.encode()).hexdigest()


def consumer(name, *keys, **more):
    return dict(name=name, keys=[{"id": key, "sha256": sha256(key)} for key in keys], **more)


def key(text):
    return {"X-API-KEY": text}


@pytest.fixture
def known(stage):
    """A gateway with consumers; services told who asks."""
    def make(*consumers, plans=None, valid_keys=None, path="/", **settings):
        settings = {"identity_headers": {"X-Consumer": "name", "X-Plan": "plan", "X-Groups": "groups"}, **settings}
        if valid_keys:
            settings["valid_keys"] = valid_keys
        service = stage.service(answers="in")
        gw = stage.proxy(service, path=path, service={"middleware": ["auth_apikey"]}, consumers=list(consumers), plans=plans or {},
                         middleware_config={"auth_apikey": settings})
        gw.service = service
        return gw
    return make


def test_a_key_is_known_by_its_digest_and_the_service_is_told_whose_it_is(known):
    gw = known(consumer("mobile-app", "k-1", "k-2", plan="gold", groups=["apps", "eu"]), consumer("partner", "k-3"), plans={"gold": "5/s"})
    for text, name, plan, groups in (("k-1", "mobile-app", "gold", "apps,eu"), ("k-2", "mobile-app", "gold", "apps,eu"), ("k-3", "partner", None, None)):
        assert gw.get("/", key(text)).status == 200
        told = gw.service.last.headers
        assert [told.get(h) for h in ("X-Consumer", "X-Plan", "X-Groups")] == [name, plan, groups]


@pytest.mark.parametrize("sent", ["X-Consumer", "x-consumer", "X_Consumer", "X-Plan", "x_plan"])
def test_what_a_client_says_about_itself_never_arrives(known, sent):
    gw = known(consumer("app", "k-1"), valid_keys=["plain"])
    for text in ("k-1", "plain"):
        assert gw.get("/", {**key(text), sent: "root", "Connection": "X-Consumer, X-Plan"}).status == 200
        assert "root" not in [value for _, value in gw.service.last.headers.pairs]
        assert gw.service.last.headers.get("X-Consumer") == (None if text == "plain" else "app")


def test_what_a_client_says_about_itself_does_not_arrive_as_a_trailer_either(known):
    gw = known(consumer("app", "k-1"), valid_keys=["plain"])
    for text in ("k-1", "plain"):
        answer = gw.request("POST", "/", key(text), chunks=[b"a"], trailers=[("X-Consumer", "root"), ("X_Plan", "root"), ("X-Sum", "9")])
        assert answer.status == 200 and gw.service.last.body == b"a"
        assert gw.service.last.trailers.pairs == []


def test_a_fresh_key_from_the_command_line_works_as_it_is_printed(stage):
    made = stage.sluice("key", "new", "--name", "mobile-app")
    assert made.returncode == 0 and made.stderr == ""
    text, _, yaml = made.stdout.partition("\n")
    assert re.fullmatch(r"gw_[A-Za-z0-9]{6}_[A-Za-z0-9]{32}", text)
    assert text not in yaml and sha256(text) in yaml
    s = stage.service()
    gw = stage.gateway(text=f"port: 127.0.0.1:@PORT@\nlogging: {{access: off}}\n{yaml}services: [{{name: u, route_pattern: /, "
                            f"urls: [{s.url}], middleware: [auth_apikey]}}]\n")
    assert [gw.get("/", key(t)).status for t in (text, text[:-1], text + "x")] == [200, 401, 401]
    assert stage.sluice("key", "new").stdout != stage.sluice("key", "new").stdout


@pytest.mark.parametrize("arguments", [["key"], ["key", "old"], ["key", "new", "x"], ["key", "new", "--name", "a b"],
                                       ["key", "new", "--name", ""]])
def test_a_command_that_makes_no_key_says_so(stage, arguments):
    done = stage.sluice(*arguments)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr


def test_a_stranger_gets_the_words_of_the_seed(known):
    gw = known(consumer("app", "k-1"))
    for headers in ({}, key("k-2"), key(sha256("k-1")), [("X-API-KEY", "k-1"), ("X-API-KEY", "k-1")]):
        answer = gw.get("/", headers)
        assert (answer.status, answer.text.strip()) == (401, "Authentication Failed")
    assert gw.service.seen == 0
    assert {line["reason"] for line in gw.wait_records(4)} == {names.AUTH_FAILED}


def test_the_log_names_the_consumer_and_never_the_key(known):
    gw = known(consumer("mobile-app", "k-very-secret"), valid_keys=["plain-very-secret"], query="key")
    gw.get("/", key("k-very-secret"))
    gw.get("/?key=k-very-secret")
    gw.get("/", key("plain-very-secret"))
    gw.get("/")
    lines = gw.wait_records(4)
    assert sorted(line.get("consumer", "") for line in lines) == ["", "", "mobile-app", "mobile-app"]
    assert "very-secret" not in str(lines) and "very-secret" not in gw.stderr()


def test_an_address_that_is_not_allowed_is_403(known):
    gw = known(consumer("app", "k-1", allow_ips=["127.0.0.2", "10.0.0.0/8"]))
    assert gw.get("/", key("k-1"), source="127.0.0.2").status == 200
    assert gw.get("/", key("k-1"), source="127.0.0.3").status == 403
    assert "WWW-Authenticate" not in gw.last.headers
    refused = [line for line in gw.wait_records(2) if line["status"] == 403]
    assert (refused[0]["reason"], refused[0]["consumer"]) == (names.IP_NOT_ALLOWED, "app")
    assert gw.service.seen == 1


def test_a_service_that_is_not_allowed_is_403(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.gateway(services=[stage.route(a, path="/a", name="a", middleware=["auth_apikey"]),
                                 stage.route(b, path="/b", name="b", middleware=["auth_apikey"])],
                       consumers=[consumer("one", "k-1", services=["a"]), consumer("all", "k-2")])
    assert [gw.get(path, key(k)).status for k in ("k-1", "k-2") for path in ("/a", "/b")] == [200, 403, 200, 200]
    assert (a.seen, b.seen) == (2, 1)
    assert [line["reason"] for line in gw.wait_records(4) if line["status"] == 403] == [names.SERVICE_NOT_ALLOWED]


@pytest.mark.parametrize("expires,status", [("2020-01-01", 401), ("2020-01-01T00:00:00+02:00", 401), ("2199-12-31", 200), ("never", 200)])
def test_a_key_ends_when_it_is_said(known, expires, status):
    gw = known({"name": "app", "keys": [{"sha256": sha256("k-1"), "expires": expires}]})
    assert gw.get("/", key("k-1")).status == status
    if status == 401:
        assert gw.last.text.strip() == "Authentication Failed" and "WWW-Authenticate" in gw.last.headers
        line = gw.wait_records(1)[0]
        assert (line["reason"], line["consumer"]) == (names.KEY_EXPIRED, "app")


def test_keys_that_have_ended_are_warned_of_when_the_file_is_read(known, stage):
    gw = known({"name": "app", "keys": [{"id": "k1", "sha256": sha256("k-1"), "expires": "2020-01-01"}, {"sha256": sha256("k-2"), "expires": "2020-01-01T10:00:00Z"},
                                        {"id": "k3", "sha256": sha256("k-3"), "expires": "2199-01-01"}]})
    done = stage.sluice("check", gw.config_path)
    assert done.returncode == 0 and "key k3" not in done.stderr
    assert re.search(r"config\.yaml:\d+:\d+: warning: app: its key k1 has ended \(2020-01-01\)", done.stderr), done.stderr
    assert re.search(r"app: its key number 2 has ended \(2020-01-01T10:00:00Z\)", done.stderr)
    assert "its key k1 has ended" in gw.stderr()


def test_a_key_ends_while_the_gateway_runs(known):
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    ends = ends.replace(microsecond=ends.microsecond // 1000 * 1000)      # what the file can say
    gw = known({"name": "app", "keys": [{"sha256": sha256("k-1"), "expires": ends.isoformat(timespec="milliseconds")}]})
    with gw.client() as c:
        wait_until(lambda: c.get("/", key("k-1")).status == 401, 30)
    assert datetime.datetime.now(datetime.timezone.utc) >= ends


def test_consumers_keys_and_plans_change_at_once_by_a_reload(known):
    gw = known(consumer("app", "old", plan="free"), plans={"free": "1000/s", "gold": "2000/s"})
    with gw.client() as c:
        assert c.get("/", key("old")).status == 200
        assert gw.service.last.headers["X-Plan"] == "free"
        gw.config["consumers"] = [consumer("app", "old", "new", plan="gold"), consumer("other", "third")]
        gw.reload(**gw.config)
        assert [c.get("/", key(k)).status for k in ("third", "new", "old")] == [200] * 3
        assert gw.service.last.headers["X-Plan"] == "gold"
        gw.config["consumers"] = [consumer("app", "new")]
        gw.reload(**gw.config)
        assert [c.get("/", key(k)).status for k in ("third", "old", "new")] == [401, 401, 200]
        assert gw.service.last.headers.get("X-Plan") is None


def test_the_order_of_plans_may_change_and_each_consumer_keeps_its_own(known):
    gw = known(consumer("a", "k-a", plan="free"), consumer("b", "k-b", plan="gold"), plans={"free": "1000/s", "gold": "2000/s"})
    for plans in ({"gold": "2000/s", "free": "1000/s"}, {"none": "1/s", "gold": "2000/s", "free": "1000/s"}):
        gw.config["plans"] = {}
        gw.reload(**{**gw.config, "plans": plans})
        for k, plan in (("k-a", "free"), ("k-b", "gold")):
            assert gw.get("/", key(k)).status == 200
            assert gw.service.last.headers["X-Plan"] == plan


def test_what_is_in_flight_keeps_who_asked_through_a_reload_that_forgets_all(stage):
    held = gate(then="late")
    s = stage.service(answers=held)
    gw = stage.proxy(s, service={"middleware": ["auth_apikey"]}, consumers=[consumer("app", "k-1")],
                     middleware_config={"auth_apikey": {"valid_keys": ["plain"], "identity_headers": {"X-Consumer": "name"}}})
    with gw.client(timeout=30) as c:
        c.ask("GET", "/", key("k-1"))
        s.wait_event("held")
        gw.config["consumers"] = []
        for _ in range(3):
            gw.reload(**gw.config)
        assert gw.get("/", key("k-1")).status == 401
        held.open.set()
        assert c.answer().text == "late"
    done = [line for line in gw.wait_records(2) if line["status"] == 200]
    assert done[0]["consumer"] == "app"


def test_who_has_a_plain_key_is_as_known_as_ever(known):
    gw = known(consumer("app", "k-1"), valid_keys=["abc-123"])
    assert [gw.get("/", key(k)).status for k in ("abc-123", "k-1", "abc-12")] == [200, 200, 401]


def test_thousands_of_consumers_are_each_found_and_survive_a_reload(known):
    everybody = [consumer(f"c{n}", f"key-{n}") for n in range(3000)]
    gw = known(*everybody)
    with gw.client() as c:
        for _ in range(2):
            for n in (0, 1, 1499, 2998, 2999):
                assert c.get("/", key(f"key-{n}")).status == 200
                assert gw.service.last.headers["X-Consumer"] == f"c{n}"
            assert c.get("/", key("key-3000")).status == 401
            gw.reload(**{**gw.config, "unmatched": {"body": "another"}})


def test_a_key_in_the_query_or_in_a_cookie_is_stripped_there(known):
    gw = known(consumer("app", "k-1"), query="api_key", cookie="key", strip=True)
    assert gw.get("/a?x=1&api_key=k-1&y=2").status == 200
    assert gw.service.last.target == "/a?x=1&y=2"
    assert gw.get("/a?api_key=k%2D1").status == 200
    assert gw.service.last.target == "/a"
    assert gw.get("/a?x", {"Cookie": "a=b; key=k-1; c=d"}).status == 200
    assert (gw.service.last.target, gw.service.last.headers["Cookie"]) == ("/a?x", "a=b; c=d")
    assert gw.get("/a?api_key=k-1", key("k-1")).status == 401      # two are none
    assert gw.get("/a?API_KEY=k-1").status == 401


def test_the_step_of_the_whole_gateway_knows_consumers_too(stage):
    s = stage.service()
    gw = stage.proxy(s, path="/u", middleware=["auth_apikey"], consumers=[consumer("app", "k-1", services=["u"])])
    assert [gw.get("/u", h).status for h in ({}, key("k-1"))] == [401, 200]
    assert gw.get("/nowhere", {}).status == 401


@pytest.mark.parametrize("consumers,plans,said", [
    ([consumer("a", "k"), consumer("b", "k")], {}, r"config\.yaml:\d+:\d+: consumers\[1\]\.keys\[0\]: is the key of a consumer already"),
    ([consumer("a"), consumer("a")], {}, r"consumers\[1\]\.name: there is a consumer \"a\" already, in line"),
    ([consumer("a", plan="golf")], {"gold": "1/s"}, r"consumers\[0\]\.plan: there is no plan \"golf\"; did you mean \"gold\"\?"),
    ([consumer("a", services=["v"])], {}, r"consumers\[0\]\.services\[0\]: there is no service \"v\""),
    ([{"name": "a", "keys": [{"key": "abc-123"}]}], {}, r"valid_keys: number 1 is a key of the consumer a, too"),
])
def test_mistakes_are_told_with_their_place_and_refuse_the_reload(known, stage, consumers, plans, said):
    gw = known(valid_keys=["abc-123"])
    gw.write(**{**gw.config, "consumers": consumers, "plans": plans})
    done = stage.sluice("check", gw.config_path)
    assert done.returncode == 1 and re.search(said, done.stderr), done.stderr
    gw.hup()
    assert gw.get("/", key("abc-123")).status == 200
    assert re.search(said, gw.stderr().replace('\\"', '"'))


def test_printed_values_show_consumers_and_no_key_in_plain(known, stage):
    gw = known({"name": "app", "plan": "free", "keys": [{"id": "k1", "key": "very-secret", "expires": "2199-01-01"}, {"sha256": sha256("x")}]},
               plans={"free": "60/m"})
    printed = stage.sluice("print", gw.config_path)
    assert printed.returncode == 0 and "very-secret" not in printed.stdout
    assert "name: app" in printed.stdout and sha256("x") in printed.stdout and "2199-01-01" in printed.stdout


def test_a_key_in_the_place_of_its_digest_is_not_repeated(stage):
    path = stage.new_dir() + "/config.yaml"
    with open(path, "w") as file:
        file.write("services: [{name: u, route_pattern: /, urls: 'http://127.0.0.1:1', middleware: [auth_apikey]}]\n"
                   "consumers: [{name: app, keys: [{sha256: very-secret}]}]\n")
    done = stage.sluice("check", path)
    assert done.returncode == 1 and "2:33: consumers[0].keys[0].sha256: must be 64 hexadecimal digits" in done.stderr
    assert "very-secret" not in done.stdout + done.stderr


def test_without_keys_and_consumers_the_step_cannot_be(stage):
    directory = stage.new_dir()
    path = directory + "/config.yaml"
    with open(path, "w") as file:
        file.write("services: [{name: u, route_pattern: /, urls: 'http://127.0.0.1:1', middleware: [auth_apikey]}]\n")
    done = stage.sluice("check", path)
    assert done.returncode == 1 and '"valid_keys" is missing' in done.stderr
