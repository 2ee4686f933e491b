"""Who the client is: the peer, unless a trusted proxy says otherwise."""
import pytest


def trusting(stage, service=None, **settings):
    return stage.proxy(service or stage.service(), client_ip={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"], **settings})


def client_seen(stage, gw, headers):
    gw.get("/", headers)
    return gw.wait_records()[0]["client"]


@pytest.mark.parametrize("said, client", [
    ("203.0.113.7", "203.0.113.7"),
    ("203.0.113.7, 10.0.0.1", "203.0.113.7"),                # 10/8 is ours, skipped from the right
    ("6.6.6.6, 203.0.113.7", "203.0.113.7"),                 # what stands left of a stranger is hearsay
    ("203.0.113.7,10.0.0.1 ,  10.2.3.4", "203.0.113.7"),
    ("2001:db8::7", "2001:db8::7"),
])
def test_a_trusted_proxy_is_believed(stage, said, client):
    assert client_seen(stage, trusting(stage), {"X-Forwarded-For": said}) == client


@pytest.mark.parametrize("said", ["nonsense", "1.2.3", "203.0.113.7, nonsense", "", "1.2.3.4.5", "' or 1=1"])
def test_what_cannot_be_read_is_not_believed(stage, said):
    assert client_seen(stage, trusting(stage), {"X-Forwarded-For": said}) in ("127.0.0.1",)


def test_a_stranger_is_not_believed(stage):
    assert client_seen(stage, stage.proxy(stage.service()), {"X-Forwarded-For": "203.0.113.7"}) == "127.0.0.1"


def test_limits_count_the_client_behind_the_proxy(stage):
    gw = stage.proxy(stage.service(), client_ip={"trusted_proxies": ["127.0.0.1/32"]}, service={"middleware": ["rate_limit"]},
                     middleware_config={"rate_limit": {"rate": "6/h", "burst": 1}})
    ask = [gw.get("/", {"X-Forwarded-For": f"203.0.113.{n}"}).status for n in (1, 2, 1, 2, 3)]
    assert ask == [200, 200, 429, 429, 200]


def test_the_chain_of_proxies_is_appended_to(stage):
    s = stage.service()
    trusting(stage, s).get("/", {"X-Forwarded-For": "203.0.113.7, 10.0.0.1"})
    assert [w.strip() for w in s.last.headers["X-Forwarded-For"].split(",")] == ["203.0.113.7", "10.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize("forward, seen", [("append", "9.9.9.9, 127.0.0.1"), ("replace", "127.0.0.1"), ("drop", None)])
def test_what_the_service_is_told_is_configurable(stage, forward, seen):
    s = stage.service()
    stage.proxy(s, client_ip={"forward": forward}).get("/", {"X-Forwarded-For": "9.9.9.9"})
    assert s.last.headers.get("X-Forwarded-For") == seen


def test_forwarded_can_be_left_out(stage):
    s = stage.service()
    stage.proxy(s, client_ip={"send_forwarded": False}).get("/")
    assert "Forwarded" not in s.last.headers and "X-Forwarded-For" in s.last.headers
