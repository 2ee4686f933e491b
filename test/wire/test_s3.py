"""The seed's own example: its configuration as it is written, its words, its queries in a real Prometheus."""
import json
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest

from stage import names
from stage import service as acts
from stage.gateway import wait_until
from stage.ports import free_port

FILE = os.path.join(os.path.dirname(__file__), "s3", "config.yaml")
KEY = {"X-API-KEY": "abc-123"}
HELLO = "Hello from the backend-1 running on port %d"


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            return True
        except OSError:
            return False


@pytest.fixture
def seed(stage, monkeypatch):
    """S3's file, unmodified, on the ports that it names."""
    taken = [port for port in (8080, 8081, 8083) if not is_free(port)]
    if taken:
        pytest.skip(f"somebody else has port {taken}")
    ports = iter((8081, 8083))
    monkeypatch.setattr("stage.service.free_port", lambda: next(ports))
    services = [stage.service(answers=HELLO % port) for port in (8081, 8083)]
    monkeypatch.setattr("stage.gateway.free_port", lambda: 8080)
    with open(FILE) as file:
        gw = stage.gateway(text=file.read())
    gw.services = services
    return gw


def with_other_ports(stage, *urls, more=""):
    """The same file with only the ports changed, for machines where the seed's are taken."""
    with open(FILE) as file:
        text = file.read()
    for old, new in zip((":8080", "http://localhost:8081", "http://localhost:8083"), ("127.0.0.1:@PORT@", *urls)):
        assert old in text
        text = text.replace(old, new)
    return stage.gateway(text=text + more)


def test_the_file_loads_as_it_is_and_the_services_take_turns(seed):
    answers = [seed.get("/users", KEY).text for _ in range(6)]
    assert set(answers) == {HELLO % 8081, HELLO % 8083}
    assert answers[0] == answers[2] == answers[4] != answers[1] == answers[3] == answers[5]
    assert seed.get("/users", {"X-API-KEY": "dwe-569"}).status == 200


def test_without_a_key_the_words_of_the_seed(seed):
    answer = seed.get("/users")
    assert answer.status == 401 and answer.text.strip() == "Authentication Failed"
    assert all(s.connections == 0 for s in seed.services)


def test_check_has_nothing_to_say_against_it(stage):
    done = stage.sluice("check", FILE)
    assert done.returncode == 0, done.stderr


def test_the_seeds_second_service_takes_all_defaults(stage):
    s = stage.service(answers="product")
    more = f"""
  - name: products
    route_pattern: "/products"
    urls:
      - "{s.url}"
    middleware:
      - "auth_apikey"
      - "rate_limit"
      - "circuit_breaker"
      - "metrics"
"""
    gw = with_other_ports(stage, s.url, s.url, more=more)
    assert gw.get("/products/1", KEY).text == "product" and gw.get("/products").status == 401
    with gw.client() as c:
        got = [c.get("/products", KEY).status for _ in range(199)]
    assert got == [200] * 199                                   # the burst of 200


def test_gateway_port_overrides_the_file(stage):
    s = stage.service()
    port = free_port()
    gw = with_other_ports(stage, s.url, s.url)
    text = open(gw.config_path).read()
    other = stage.gateway(text=text, environment={"GATEWAY_PORT": str(port)})
    other.port = port
    assert other.get("/users", KEY).status == 200


def test_the_limit_of_the_file(stage):
    s = stage.service()
    gw = with_other_ports(stage, s.url, s.url)
    with gw.client() as c:
        got = [c.get("/users", KEY).status for _ in range(400)]
    assert got == [200] * 400


def test_the_breaker_of_the_file(stage):
    s = stage.service(answers=500)
    gw = with_other_ports(stage, s.url, s.url)
    assert [gw.get("/users", KEY).status for _ in range(8)] == [500] * 6 + [503] * 2
    assert int(gw.last.headers["Retry-After"]) in (14, 15)
    assert gw.metrics().get(names.S3_BREAKER, service="users") == names.OPEN


@pytest.mark.slow
@pytest.mark.parametrize("command", ["hey -n 3000 -c 100", "ab -n 3000 -c 100 -k", "ab -n 20 -c 10", "wrk -t2 -c100 -d3s"],
                         ids=["hey", "ab", "ab-20", "wrk"])
def test_the_seeds_load_tests_run(stage, command):
    """More than the limit is refused, politely: no connection fails."""
    if not shutil.which(command.split()[0]):
        pytest.skip(f"{command.split()[0]} is not installed")
    s = stage.service(answers=HELLO % 8081)
    gw = with_other_ports(stage, s.url, s.url)
    done = subprocess.run([*command.split(), "-H", "X-API-KEY: abc-123", f"http://127.0.0.1:{gw.port}/users"], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert "Error distribution" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    answered, left = (lambda m: m.get(names.S3_COUNTER, status="200") or 0), (lambda m: m.get(names.S3_COUNTER, status="499") or 0)
    m = gw.wait_metric(lambda m: answered(m) <= s.seen <= answered(m) + left(m))      # wrk leaves in the middle at its end
    assert {labels["status"] for labels, _ in m.series(names.S3_COUNTER)} <= {"200", "429", "499"}
    assert answered(m) > 0 and left(m) <= 100


@pytest.mark.slow
def test_the_seeds_queries_work_in_a_real_prometheus(stage):
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    s = stage.service(answers=acts.text("x"))
    gw = with_other_ports(stage, s.url, s.url)
    directory, port = stage.new_dir(), free_port()
    with open(directory + "/prometheus.yml", "w") as file:
        json.dump({"global": {"scrape_interval": "500ms"},
                   "scrape_configs": [{"job_name": "sluice", "static_configs": [{"targets": [f"127.0.0.1:{gw.port}"]}]}]}, file)
    with open(directory + "/log", "w") as log:
        prometheus = subprocess.Popen(["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                                       f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        def ask(query):
            url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return json.load(answer)["data"]["result"]
            except OSError:
                return []

        def busy():
            with gw.client() as c:
                for _ in range(20):
                    c.get("/users", KEY)
            return True

        def value(query):
            busy()
            found = ask(query)
            return found and float(found[0]["value"][1]) == float(found[0]["value"][1]) and found       # NaN is not equal to itself

        # refused ones too, so that the limit's counter moves
        with gw.client() as c:
            while c.get("/users", {"X-API-KEY": "dwe-569"}).status != 429:
                pass
        rate = wait_until(lambda: value("rate(http_request_counter[1m])"), 40)
        assert any(r["metric"]["service"] == "users" and r["metric"]["method"] == "GET" for r in rate)
        p95 = wait_until(lambda: value("histogram_quantile(0.95, rate(http_request_timer_bucket[5m]))"), 20)
        assert 0 < float(p95[0]["value"][1]) < 10
        limited = wait_until(lambda: value("sum(rate(gateway_rate_limited_total[1m])) by (service)"), 20)
        assert limited[0]["metric"] == {"service": "users"}
        breaker = wait_until(lambda: value("gateway_circuit_breaker_state"), 20)
        assert breaker[0]["value"][1] == "0"
        assert ask("up")[0]["value"][1] == "1"
    finally:
        prometheus.terminate()
        prometheus.wait(20)
