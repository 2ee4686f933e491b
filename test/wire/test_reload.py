"""SIGHUP swaps what the living workers do: no connection is closed, no process is replaced, what is in flight ends as it began."""
import os
import shutil
import signal
import subprocess
import threading

import pytest

from stage import names, process
from stage import service as acts
from stage.client import Client
from stage.gateway import wait_until
from stage.load import Load, ordinary
from stage.ports import free_port


def one(stage, *services, **more):
    return stage.gateway(services=[stage.route(*services, path="/u", name="u", middleware=["metrics"])], **more)


def with_services(gw, *entries):
    gw.reload(**{**gw.config, "services": list(entries)})


def test_a_new_service_is_served_without_a_restart(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = one(stage, a)
    family = gw.family()
    c = gw.client()
    assert (c.get("/u").text, c.get("/b").status) == ("a", 404)
    with_services(gw, *gw.config["services"], stage.route(b, path="/b", name="b"))
    assert (c.get("/u").text, c.get("/b").text) == ("a", "b")
    assert gw.family() == family


def test_a_removed_service_is_404_on_the_same_connection(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.gateway(services=[stage.route(a, path="/a", name="a"), stage.route(b, path="/b", name="b")])
    c = gw.client()
    assert [c.get(p).status for p in ("/a", "/b")] == [200, 200]
    with_services(gw, gw.config["services"][0])
    assert [c.get(p).status for p in ("/a", "/b")] == [200, 404]


def test_a_changed_url_takes_effect_at_once_in_every_worker(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = one(stage, a, workers=4)
    clients = [gw.client() for _ in range(16)]
    assert {c.get("/u").text for c in clients} == {"a"}
    with_services(gw, stage.route(b, path="/u", name="u"))
    assert {c.get("/u").text for c in clients} == {"b"}


def test_no_process_is_replaced(stage):
    gw = one(stage, stage.service(), workers=3)
    family = sorted(gw.family())
    for _ in range(5):
        gw.hup()
    assert sorted(gw.family()) == family


def test_a_request_in_flight_ends_at_the_service_it_began_with(stage):
    held = acts.gate("from the old one")
    a, b = stage.service(answers=held), stage.service(answers="from the new one")
    gw = one(stage, a)
    c = gw.client()
    c.ask("GET", "/u")
    a.wait_event("held")
    with_services(gw, stage.route(b, path="/u", name="u"))
    assert gw.get("/u").text == "from the new one"
    held.open.set()
    assert c.answer().text == "from the old one"
    assert c.get("/u").text == "from the new one"


def test_a_request_in_flight_survives_the_removal_of_its_service(stage):
    held = acts.gate("late")
    a = stage.service(answers=held)
    gw = one(stage, a)
    c = gw.client()
    c.ask("GET", "/u")
    a.wait_event("held")
    with_services(gw)
    assert gw.get("/u").status == 404
    held.open.set()
    assert c.answer().text == "late"
    assert c.get("/u").status == 404


def test_half_a_head_is_completed_under_the_new_configuration(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = one(stage, a)
    c = gw.raw(b"GET /u HTTP/1.1\r\nHos")
    with_services(gw, stage.route(b, path="/u", name="u"))
    c.send(b"t: a\r\n\r\n")
    assert c.answer().text == "b"


def test_an_upload_goes_on(stage):
    s = stage.service(answers="got it")
    gw = one(stage, s)
    c = gw.client()
    c.ask("POST", "/u", {"Content-Length": "300000"})
    c.send(b"x" * 100000)
    s.wait_seen(1)
    for _ in range(3):
        gw.hup()
        c.send(b"x" * 50000)
    with_services(gw)
    c.send(b"x" * 50000)
    assert c.answer().text == "got it" and s.last.size == 300000


def test_a_download_goes_on(stage):
    s = stage.service(answers=acts.flood(20 << 20))
    gw = one(stage, s)
    c = gw.client(receive_buffer=8192)
    c.ask("GET", "/u")
    answer = c.head()
    body = c.body(answer)
    read = len(next(body))
    for _ in range(3):
        gw.hup()
        read += len(next(body))
    with_services(gw)
    assert read + sum(len(piece) for piece in body) == 20 << 20


def test_idle_connections_stay_open(stage):
    gw = one(stage, stage.service())
    clients = [gw.client() for _ in range(50)]
    assert all(c.get("/u").status == 200 for c in clients)
    for _ in range(5):
        gw.hup()
    assert all(c.is_open() for c in clients)
    assert all(c.get("/u").status == 200 for c in clients)


def test_links_to_services_stay_warm(stage):
    s = stage.service()
    gw = one(stage, s, workers=1)
    for _ in range(5):
        assert gw.get("/u").status == 200
        gw.hup()
    assert s.connections == 1


def test_a_bad_file_keeps_the_running_configuration_and_says_why(stage):
    gw = one(stage, stage.service(answers="still here"))
    before = gw.metrics()
    gw.write_text(open(gw.config_path).read().replace('"route_pattern"', '"route_patern"'))
    gw.hup()
    assert gw.get("/u").text == "still here"
    assert "config.yaml:" in gw.stderr() and "route_patern" in gw.stderr()
    after = gw.metrics()
    assert after.get(names.RELOADS_FAILED) == (before.get(names.RELOADS_FAILED) or 0) + 1
    assert (before.get(names.RELOAD_OK), after.get(names.RELOAD_OK)) == (1, 0)
    assert after.get(names.GENERATION) == before.get(names.GENERATION)


def test_a_good_file_after_a_bad_one_is_taken(stage):
    gw = one(stage, stage.service())
    good = gw.config
    gw.write_text("port: [")
    gw.hup()
    assert gw.metrics().get(names.RELOAD_OK) == 0
    gw.reload(**good)
    m = gw.metrics()
    assert m.get(names.RELOAD_OK) == 1 and m.get(names.GENERATION) >= 2


@pytest.mark.parametrize("text", ["", "\0", "a: &a [*a]\n", "services: 7\n", "- x\n", "port: ':0x'\n", "%YAML 9\n---\n", "{" * 5000])
def test_no_file_is_too_bad(stage, text):
    gw = one(stage, stage.service())
    gw.write_text(text)
    gw.hup()
    assert gw.get("/u").status == 200 and gw.metrics().get(names.RELOAD_OK) == 0


def test_a_file_that_is_gone_keeps_the_running_configuration(stage):
    gw = one(stage, stage.service())
    os.unlink(gw.config_path)
    gw.hup()
    assert gw.get("/u").status == 200


def test_counters_never_fall(stage):
    gw = one(stage, stage.service(), workers=2)
    counted = 0
    for turn in range(6):
        for _ in range(5):
            gw.get("/u")
        counted += 5
        gw.wait_metric(lambda m: m.get(names.S3_COUNTER, service="u") == counted)
        gw.hup()
        assert gw.metrics().get(names.S3_COUNTER, service="u") == counted


def test_counters_of_a_service_that_comes_back_go_on(stage):
    s = stage.service()
    gw = one(stage, s)
    services = gw.config["services"]
    for _ in range(4):
        gw.get("/u")
    gw.wait_metric(lambda m: m.get(names.S3_COUNTER, service="u") == 4)
    with_services(gw)
    with_services(gw, *services)
    gw.get("/u")
    gw.wait_metric(lambda m: m.get(names.S3_COUNTER, service="u") == 5)


def test_two_hups_at_once_end_with_the_last_file(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = one(stage, a)
    for _ in range(5):
        gw.signal(signal.SIGHUP)
    gw.write(**{**gw.config, "services": [stage.route(b, path="/u", name="u")]})
    gw.signal(signal.SIGHUP)
    wait_until(lambda: gw.get("/u").text == "b")


def test_a_new_listener_is_opened_and_an_old_one_closed(stage):
    gw = one(stage, stage.service())
    port = free_port()
    kept = gw.client()
    assert kept.get("/u").status == 200
    services = gw.config["services"]
    gw.reload(**{**gw.config, "listeners": [{"name": "second", "address": f"127.0.0.1:{port}"}]})
    with Client(("127.0.0.1", port)) as c:
        assert c.get("/u").status == 200
        config = {**gw.config, "services": services}
        del config["listeners"]
        gw.config = {}
        gw.reload(**config)
        assert c.get("/u").status == 200                   # what stands, stands
    wait_until(lambda: refuses(port))                      # the workers give back what they had borrowed
    assert kept.get("/u").status == 200


def refuses(port):
    try:
        Client(("127.0.0.1", port)).close()
        return False
    except OSError:
        return True


def test_an_address_in_use_fails_the_reload_and_not_the_gateway(stage):
    gw = one(stage, stage.service())
    other = stage.service()
    gw.reload(**{**gw.config, "listeners": [{"name": "taken", "address": f"127.0.0.1:{other.port}"}]})
    assert gw.get("/u").status == 200 and gw.metrics().get(names.RELOAD_OK) == 0
    assert str(other.port) in gw.stderr()


def test_more_workers_and_fewer_lose_nobody(stage):
    gw = one(stage, stage.service(answers=ordinary), workers=2)
    with Load(gw, keep=4, once=2, may_close=True) as load:          # a worker that is taken out says so
        for count in (4, 1, 3, 2):
            gw.config["process"]["workers"] = count
            gw.write(**gw.config)
            gw.hup()
            load.wait_more(50)
    assert not load.failures


def test_100_reloads_under_load_lose_nothing(stage):
    """Services added, changed and removed; clients of every kind; no request fails, no connection is closed."""
    main, others = stage.service(answers=ordinary), [stage.service(answers="o") for _ in range(3)]
    gw = one(stage, main, workers=2)
    family = sorted(gw.family())
    base = gw.config["services"]
    idle = [gw.client() for _ in range(10)]
    assert all(c.get("/u").status == 200 for c in idle)
    with Load(gw, keep=4, once=2, pipeline=1, upload=1, download=1) as load:
        for turn in range(100):
            entries = list(base)
            if turn % 2:
                entries.insert(0, stage.route(others[turn % 3], path=f"/x{turn}", name=f"x{turn}", middleware=["rate_limit"]))
            if turn % 3:
                entries.append(stage.route(others[0], others[turn % 3], path="/y", name="y", middleware=["circuit_breaker", "metrics"]))
            if turn % 5 == 0:
                entries[0 if not turn % 2 else 1] = dict(base[0], timeouts={"upstream_header": f"{20 + turn}s"})
            with_services(gw, *entries)
            if turn % 10 == 0:
                load.wait_more(20)
        load.wait_more(50)
    assert not load.failures, load.failures[:5]
    assert all(c.is_open() for c in idle) and all(c.get("/u").status == 200 for c in idle)
    assert sorted(gw.family()) == family
    answered = load.done + 20
    gw.wait_metric(lambda m: m.get(names.S3_COUNTER, service="u") == answered)


def large(gw, *entries, turn=0, count=300):
    """Many consumers and services, all of them others than in the turn before."""
    consumers = [dict(name=f"c{n}-{turn}", keys=[f"{n:032x}{turn:032x}"]) for n in range(count)]
    services = [dict(name=f"s{n}", route_pattern=f"/s/{n}", urls=entries[0]["urls"], middleware=["rate_limit"]) for n in range(count)]
    gw.write(**{**gw.config, "services": [*entries, *services], "consumers": consumers})


def test_large_configurations_follow_one_another_faster_than_they_are_let_go(stage):
    """Each is asked for while what is left of those before is still given back; a request holds on to the first; the end comes in the middle."""
    held = acts.gate("from the first")
    main, slow = stage.service(answers=ordinary), stage.service(answers=held)
    gw = one(stage, main, workers=2)
    base = gw.config["services"]
    family = sorted(gw.family())
    large(gw, *base, stage.route(slow, path="/slow", name="slow"))
    gw.hup()
    c = gw.client()
    c.ask("GET", "/slow")
    slow.wait_event("held")
    with Load(gw, keep=2, once=1) as load:
        for turn in range(1, 6):
            large(gw, *base, turn=turn)
            gw.hup()
        load.wait_more(20)
    assert not load.failures, load.failures[:5]
    assert (gw.get("/slow").status, gw.get("/s/299").status) == (404, 200)
    held.open.set()
    assert c.answer().text == "from the first"
    assert sorted(gw.family()) == family
    large(gw, *base, turn=6)
    gw.hup()
    gw.signal(signal.SIGTERM)
    assert gw.wait_end() == 0


def test_a_worker_that_dies_anywhere_in_a_large_reload_leaves_all_on_one_configuration(stage):
    main = stage.service(answers=ordinary)
    gw = one(stage, main, workers=2)
    base = gw.config["services"]
    for turn in range(1, 7):
        large(gw, *base, turn=turn, count=100 * turn)
        gw.signal(signal.SIGHUP)
        gw.wait_notified("RELOADING=1")
        os.kill(gw.workers()[turn % 2], signal.SIGKILL)
        gw.wait_notified("READY=1")
        gw.wait_workers(2)
        wait_until(lambda: len({gw.get(f"/s/{100 * turn - 1}").status for _ in range(20)}) == 1)
        assert gw.get("/u").status == 200


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["hey", "ab", "wrk"])
def test_reloads_under_a_load_generator_fail_no_request(stage, tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    gw = one(stage, stage.service(answers=ordinary), stage.service(answers=ordinary), workers=2)
    url = f"http://127.0.0.1:{gw.port}/u"
    command = {"hey": ["hey", "-n", "3000", "-c", "20", url], "ab": ["ab", "-q", "-n", "3000", "-c", "20", "-k", url],
               "wrk": ["wrk", "-t1", "-c20", "-d4s", url]}[tool]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    reader = threading.Thread(target=lambda: said.append(running.stdout.read()))
    reader.start()
    reloads = 0
    while running.poll() is None and reloads < 400:
        gw.hup()
        reloads += 1
    reader.join(60)
    text = said[0]
    assert running.wait() == 0 and reloads >= 5, text
    if tool == "hey":
        assert "[200]\t3000 responses" in text and "Error distribution" not in text, text
    if tool == "ab":
        assert "Failed requests:        0" in text and "Non-2xx" not in text, text
    if tool == "wrk":
        assert "Socket errors" not in text and "Non-2xx" not in text, text


def test_memory_is_flat_over_reloads(stage):
    services = [stage.service() for _ in range(4)]
    gw = stage.gateway(services=[stage.route(services[n % 4], path=f"/p{n}", name=f"n{n}", middleware=["metrics", "rate_limit", "circuit_breaker"])
                                 for n in range(60)], workers=1)

    def reloads(count):
        for turn in range(count):
            gw.config["services"][turn % 60]["rate_limit_rps"] = 100 + turn
            gw.write(**gw.config)
            gw.hup()
    reloads(30)                                   # what grows once has grown
    before = gw.rss()
    reloads(60)
    assert gw.rss() - before < 6 << 20


def test_descriptors_are_flat_over_reloads(stage):
    gw = one(stage, stage.service(), workers=2)
    for _ in range(3):
        gw.hup()

    def used():
        return [process.descriptors(pid) for pid in [gw.pid, *sorted(gw.family())]]
    before = used()
    for _ in range(20):
        gw.hup()
    wait_until(lambda: all(now <= then for now, then in zip(used(), before)), explain=lambda: (before, used()))


def test_a_pipe_in_the_place_of_the_file_that_nobody_writes_to_holds_up_the_master_for_a_moment_only(stage):
    gw = stage.proxy(stage.service())
    os.unlink(gw.config_path)
    os.mkfifo(gw.config_path)
    gw.hup()
    gw.wait_stderr("cannot read .*timed out")
    assert gw.metrics().get(names.RELOADS_FAILED) == 1 and gw.get("/").status == 200
    gw.reload(**gw.config)
    assert gw.metrics().get(names.GENERATION) == 2


def test_a_pipe_that_somebody_writes_to_is_read_to_its_end(stage):
    gw = stage.proxy(stage.service())
    text = open(gw.config_path).read()
    os.unlink(gw.config_path)
    os.mkfifo(gw.config_path)
    gw.signal(signal.SIGHUP)
    with open(gw.config_path, "w") as pipe:          # as soon as it is opened to be read
        for piece in (text[:40], text[40:]):
            pipe.write(piece)
            pipe.flush()
    gw.wait_notified("READY=1")
    assert gw.metrics().get(names.GENERATION) == 2
