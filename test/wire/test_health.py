"""The gateway's own pulse."""


def test_health_says_yes(stage):
    gw = stage.proxy(stage.service(), path="/u")
    answer = gw.get("/health")
    assert answer.status == 200 and answer.body


def test_ready_says_yes_when_it_serves(stage):
    assert stage.proxy(stage.service()).get("/ready").status == 200


def test_health_answers_head(stage):
    with stage.proxy(stage.service()).client() as c:
        assert c.request("HEAD", "/health").status == 200
        assert c.get("/health").status == 200


def test_health_needs_no_service(stage):
    s = stage.service()
    s.away()
    gw = stage.proxy(s)
    assert gw.get("/health").status == 200 and s.connections == 0


def test_health_is_no_place_to_write(stage):
    answer = stage.proxy(stage.service()).post("/health", b"x")
    assert answer.status == 405 and "GET" in answer.headers["Allow"]


def test_health_is_not_cached(stage):
    answer = stage.proxy(stage.service()).get("/health")
    assert "no-" in answer.headers.get("Cache-Control", "no-")


def test_health_may_stand_elsewhere(stage):
    s = stage.service(answers="from the service")
    gw = stage.proxy(s, health={"live": "/-/alive", "ready": "/-/ready"})
    assert gw.get("/-/alive").status == 200 and gw.get("/-/ready").status == 200
    assert gw.get("/health").text == "from the service"


def test_health_wants_no_key_and_no_tokens(stage):
    gw = stage.proxy(stage.service(), path="/u", service={"middleware": ["auth_apikey", "rate_limit"], "rate_limit_rps": 1, "rate_limit_burst": 1},
                     middleware_config={"auth_apikey": {"valid_keys": ["k"]}})
    assert [gw.get("/health").status for _ in range(5)] == [200] * 5


def test_health_is_not_the_health_of_a_service_below_another_path(stage):
    s = stage.service(answers="from the service")
    gw = stage.proxy(s)
    assert gw.get("/u/health").text == "from the service"
    assert gw.get("/healthy").text == "from the service"
