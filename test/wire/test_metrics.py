"""What Prometheus reads: the families of both seeds, with their labels, whichever worker counted."""
import threading

import pytest

from stage import names
from stage import service as acts


def counted(stage, answers="ok", **more):
    s = stage.service(answers=answers)
    gw = stage.gateway(services=[stage.route(s, path="/u", name="users", middleware=["metrics"], **more.pop("service", {}))], **more)
    gw.service = s
    return gw


def test_the_page_is_prometheus_text(stage):
    gw = counted(stage)
    answer = gw.get("/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    assert "version=0.0.4" in answer.headers["Content-Type"]
    gw.metrics().check_histograms()


def test_the_families_of_the_seeds_have_their_types(stage):
    gw = counted(stage)
    gw.get("/u")
    m = gw.wait_metric(lambda m: m.get(names.S3_COUNTER))
    kinds = {name: m.types.get(name) for name in (names.S3_COUNTER, names.S3_TIMER, names.S3_LIMITED, names.S3_BREAKER,
                                                  names.S3_CANCELED, names.S1_REQUESTS, names.S1_DURATION)}
    assert kinds == {names.S3_COUNTER: "counter", names.S3_TIMER: "histogram", names.S3_LIMITED: "counter",
                     names.S3_BREAKER: "gauge", names.S3_CANCELED: "counter", names.S1_REQUESTS: "counter", names.S1_DURATION: "histogram"}
    assert all(m.helps.get(name) for name in kinds)


@pytest.mark.parametrize("workers", [1, 4])
def test_requests_are_counted_by_method_status_and_service(stage, workers):
    gw = counted(stage, answers=lambda turn: acts.status(int(turn.request.query or 200))(turn), workers=workers)
    for _ in range(5):
        gw.get("/u")
    for _ in range(3):
        gw.get("/u?503")
    gw.post("/u", b"x")
    m = gw.wait_metric(lambda m: m.get(names.S3_COUNTER) == 9)
    assert m.get(names.S3_COUNTER, method="GET", status="200", service="users") == 5
    assert m.get(names.S3_COUNTER, method="GET", status="503", service="users") == 3
    assert m.get(names.S3_COUNTER, method="POST", status="200", service="users") == 1
    assert all(set(labels) == {"method", "status", "service"} for labels, _ in m.series(names.S3_COUNTER))


def test_durations_are_counted_in_seconds(stage):
    held = acts.gate("slow")
    gw = counted(stage, answers=["fast", held])
    gw.get("/u")
    c = gw.client()
    c.ask("GET", "/u")
    gw.service.wait_event("held")
    threading.Timer(0.3, held.open.set).start()
    c.answer()
    m = gw.wait_metric(lambda m: m.get(names.S3_TIMER + "_count") == 2)
    assert 0.28 <= m.get(names.S3_TIMER + "_sum") <= 2
    assert m.get(names.S3_TIMER + "_bucket", le="0.25") == 1 and m.get(names.S3_TIMER + "_bucket", le="+Inf") == 2
    assert {"method", "service"} & set(m.series(names.S3_TIMER + "_count")[0][0])
    assert 0.28 <= m.get(names.S1_DURATION + "_sum") <= 2.5


def test_s3s_family_is_for_services_with_the_step_and_s1s_for_all(stage):
    s = stage.service()
    gw = stage.gateway(services=[stage.route(s, path="/with", name="with", middleware=["metrics"]), stage.route(s, path="/without", name="without")])
    gw.get("/with"), gw.get("/without"), gw.get("/nowhere")
    m = gw.wait_metric(lambda m: (m.get(names.S1_REQUESTS) or 0) >= 3)
    assert m.get(names.S3_COUNTER, service="with") == 1 and not m.get(names.S3_COUNTER, service="without")
    assert m.get(names.S3_COUNTER) == 1


def test_refusals_are_counted_too(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/u", name="users", middleware=["metrics", "auth_apikey"])],
                       middleware_config={"auth_apikey": {"valid_keys": ["k"]}})
    gw.get("/u")
    gw.wait_metric(lambda m: m.get(names.S3_COUNTER, status="401", service="users") == 1)


def test_refusals_are_counted_wherever_the_step_stands(stage):
    """S3 lists `metrics` last; a refusal of an earlier step is a request all the same."""
    gw = stage.gateway(services=[stage.route(stage.service(), path="/u", name="users", middleware=["auth_apikey", "metrics"])],
                       middleware_config={"auth_apikey": {"valid_keys": ["k"]}})
    gw.get("/u")
    gw.wait_metric(lambda m: m.get(names.S3_COUNTER, status="401", service="users") == 1)


def test_the_gauges_are_there_before_anything_happened(stage):
    gw = stage.gateway(services=[stage.route(stage.service(), path="/u", name="users", middleware=["rate_limit", "circuit_breaker", "metrics"])])
    m = gw.metrics()
    assert m.get(names.S3_BREAKER, service="users") == 0
    assert m.get(names.S3_LIMITED, service="users") in (0, None)


def test_strange_methods_do_not_make_series(stage):
    gw = counted(stage)
    for n in range(40):
        assert gw.request(f"X{n}", "/u").status == 200
    m = gw.wait_metric(lambda m: m.get(names.S3_COUNTER) == 40)
    assert len(m.series(names.S3_COUNTER)) == 1


def test_strange_paths_and_hosts_do_not_make_series(stage):
    gw = counted(stage)
    for n in range(40):
        gw.get(f"/u/{n}", host=f"h{n}.test"), gw.get(f"/nowhere/{n}")
    m = gw.wait_metric(lambda m: (m.get(names.S1_REQUESTS) or 0) >= 80)
    assert len(m.series(names.S3_COUNTER)) == 1 and len(m.series(names.S1_REQUESTS)) <= 4


def test_a_name_with_quotes_is_escaped(stage):
    s = stage.service()
    name = 'a"b\\c'
    gw = stage.gateway(services=[stage.route(s, path="/u", name=name, middleware=["metrics"])])
    gw.get("/u")
    gw.wait_metric(lambda m: m.get(names.S3_COUNTER, service=name) == 1)


def test_what_the_gateway_tells_about_itself(stage):
    gw = counted(stage, workers=3)
    m = gw.metrics()
    assert m.get(names.GENERATION) >= 1
    assert m.get(names.RECORDS_DROPPED) == 0
    assert m.get(names.SHM_BYTES) > 0
    assert len([1 for _, value in m.series(names.SEAT_UP) if value == 1]) >= 3


def test_the_page_itself_is_not_a_request_to_a_service(stage):
    gw = counted(stage)
    for _ in range(3):
        gw.metrics()
    assert not gw.metrics().get(names.S3_COUNTER)


def test_the_page_may_stand_elsewhere(stage):
    gw = counted(stage, metrics={"path": "/internal/metrics"})
    assert gw.get("/metrics").status == 404 and gw.get("/internal/metrics").status == 200


def test_a_large_page_arrives_whole(stage):
    s = stage.service()
    gw = stage.gateway(services=[stage.route(s, path=f"/{n}", name=f"service-number-{n}", middleware=["metrics"]) for n in range(150)])
    with gw.client() as c:
        for n in range(150):
            assert c.get(f"/{n}").status == 200
    m = gw.wait_metric(lambda m: m.get(names.S3_COUNTER) == 150)
    assert len(m.series(names.S3_COUNTER)) == 150
    m.check_histograms()


def test_more_series_than_there_is_room_for_go_to_other(stage):
    s = stage.service(answers=lambda turn: acts.status(int(turn.request.query))(turn))
    gw = stage.gateway(metrics={"max_series": 100}, services=[stage.route(s, path="/u", name="users", middleware=["metrics"])])
    codes = [code for code in range(200, 360) if code not in (204, 205, 304)]
    for code in codes:
        assert gw.get(f"/u?{code}").status == code
    m = gw.wait_metric(lambda m: m.get(names.S3_COUNTER) == len(codes))
    assert len(m.series(names.S3_COUNTER)) <= 101 and m.get(names.S3_COUNTER, status="__other__") > 0


def test_families_can_be_left_out(stage):
    gw = counted(stage, metrics={"names": ["s3"]})
    gw.get("/u")
    m = gw.wait_metric(lambda m: m.get(names.S3_COUNTER))
    assert names.S1_REQUESTS not in m.types and names.GENERATION not in m.types


def test_requests_in_flight_are_a_gauge(stage):
    held = acts.gate("late")
    gw = counted(stage, answers=held)
    clients = [gw.client() for _ in range(5)]
    for c in clients:
        c.ask("GET", "/u")
    gw.service.wait_event("held", 5)
    gw.wait_metric(lambda m: m.get("gateway_requests_in_flight") >= 5)
    held.open.set()
    assert all(c.answer().status == 200 for c in clients)
    gw.wait_metric(lambda m: m.get("gateway_requests_in_flight") <= 1)       # the page itself
