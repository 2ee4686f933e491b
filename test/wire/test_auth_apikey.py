"""API keys: who has none, or a wrong one, gets no further than the gateway."""
import json

import pytest

from stage import names


@pytest.fixture
def keyed(stage):
    def make(*services, keys=("abc-123", "dwe-569"), **settings):
        if not services:
            services = (stage.service(answers="in"),)
        gw = stage.proxy(*services, service={"middleware": ["auth_apikey", "metrics"]},
                         middleware_config={"auth_apikey": {"valid_keys": list(keys), **settings}})
        gw.service = services[0]
        return gw
    return make


def test_the_right_keys_pass(keyed):
    gw = keyed()
    assert [gw.get("/", {"X-API-KEY": key}).text for key in ("abc-123", "dwe-569")] == ["in", "in"]


def test_no_key_is_401_and_the_seeds_words(keyed):
    gw = keyed()
    answer = gw.get()
    assert answer.status == 401 and answer.text.strip() == "Authentication Failed"
    assert gw.service.connections == 0
    assert gw.wait_records()[0]["reason"] == names.AUTH_FAILED


@pytest.mark.parametrize("key", ["", " ", "abc", "abc-12", "abc-1234", "ABC-123", "abc-123,dwe-569", "abc-123 dwe-569", "abc-124",
                                 "x" * 4000, "\xff\xfe", "*", "[abc-123]"])
def test_a_wrong_key_is_401(shared, key):
    if not shared.gateways:
        s = shared.service()
        shared.proxy(s, service={"middleware": ["auth_apikey"]}, middleware_config={"auth_apikey": {"valid_keys": ["abc-123", "dwe-569"]}})
    answer = shared.gateways[0].get("/", {"X-API-KEY": key})
    assert answer.status == 401 and shared.services[0].seen == 0


def test_a_key_may_have_white_space_around_it(keyed):
    assert keyed().get("/", {"X-API-KEY": "  abc-123\t"}).status == 200


def test_the_name_of_the_header_has_no_case(keyed):
    assert keyed().get("/", {"x-aPi-kEy": "abc-123"}).status == 200


@pytest.mark.parametrize("pair", [("abc-123", "wrong"), ("wrong", "abc-123"), ("abc-123", "abc-123")])
def test_two_keys_are_one_too_many(keyed, pair):
    gw = keyed()
    assert gw.get("/", [("X-API-KEY", key) for key in pair]).status in (400, 401)
    assert gw.service.seen == 0


def test_a_key_elsewhere_is_no_key(keyed):
    gw = keyed()
    assert gw.get("/?X-API-KEY=abc-123&api_key=abc-123", {"Cookie": "X-API-KEY=abc-123", "Authorization": "abc-123"}).status == 401


def test_clients_that_ask_for_json_get_a_problem(keyed):
    answer = keyed().get("/", {"Accept": "application/problem+json"})
    assert answer.status == 401 and answer.headers["Content-Type"].startswith("application/problem+json")
    problem = json.loads(answer.text)
    assert (problem["status"], problem["detail"], problem["reason"]) == (401, "Authentication Failed", names.AUTH_FAILED)


def test_curl_and_browsers_get_text(keyed):
    gw = keyed()
    for accept in ("*/*", "text/html,application/xhtml+xml,*/*;q=0.8"):
        answer = gw.get("/", {"Accept": accept})
        assert answer.headers["Content-Type"].startswith("text/plain") and answer.text.strip() == "Authentication Failed"


def test_head_without_a_key_has_no_body(keyed):
    with keyed().client() as c:
        assert c.request("HEAD", "/").status == 401
        assert c.get("/", {"X-API-KEY": "abc-123"}).text == "in"


def test_a_refused_connection_is_kept(keyed):
    with keyed().client() as c:
        for _ in range(3):
            assert c.get().status == 401
        assert c.get("/", {"X-API-KEY": "abc-123"}).status == 200


def test_the_service_sees_the_key_as_the_seed_has_it(keyed):
    gw = keyed()
    gw.get("/", {"X-API-KEY": "abc-123"})
    assert gw.service.last.headers["X-API-KEY"] == "abc-123"


def test_strip_keeps_the_key_from_the_service(keyed):
    gw = keyed(strip=True)
    assert gw.get("/", {"X-API-KEY": "abc-123"}).status == 200
    assert "X-API-KEY" not in gw.service.last.headers


def test_another_header_may_carry_the_key(keyed):
    gw = keyed(header="X-Token")
    assert gw.get("/", {"X-Token": "abc-123"}).status == 200
    assert gw.get("/", {"X-API-KEY": "abc-123"}).status == 401


def test_keys_are_added_and_taken_away_by_a_reload(keyed):
    gw = keyed(keys=["old"])
    with gw.client() as c:
        assert c.get("/", {"X-API-KEY": "old"}).status == 200
        gw.config["middleware_config"]["auth_apikey"]["valid_keys"] = ["new"]
        gw.reload(**gw.config)
        assert c.get("/", {"X-API-KEY": "old"}).status == 401
        assert c.get("/", {"X-API-KEY": "new"}).status == 200


def test_a_service_without_the_step_wants_no_key(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.gateway(services=[stage.route(a, path="/a", name="a", middleware=["auth_apikey"]), stage.route(b, path="/b", name="b")],
                       middleware_config={"auth_apikey": {"valid_keys": ["k"]}})
    assert (gw.get("/a").status, gw.get("/b").status) == (401, 200)


def test_keys_come_from_the_environment_and_from_files(stage):
    s = stage.service()
    directory = stage.new_dir()
    with open(directory + "/key", "w") as file:
        file.write("from-file\n")
    gw = stage.proxy(s, service={"middleware": ["auth_apikey"]}, environment={"STAGE_KEY": "from-env"},
                     middleware_config={"auth_apikey": {"valid_keys": ["${STAGE_KEY}", "${file:%s/key}" % directory]}})
    assert [gw.get("/", {"X-API-KEY": key}).status for key in ("from-env", "from-file", "${STAGE_KEY}")] == [200, 200, 401]
