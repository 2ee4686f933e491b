"""One counter for all workers: services alternate exactly."""
import pytest


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("count", [2, 3])
def test_services_take_turns_exactly_with_any_number_of_workers(stage, workers, count):
    services = [stage.service(answers=str(n)) for n in range(count)]
    gw = stage.proxy(*services, workers=workers)
    answers = [int(gw.get().text) for _ in range(count * 12)]
    assert answers == [(answers[0] + n) % count for n in range(count * 12)]


def test_turns_go_on_along_one_connection_and_another(stage):
    services = [stage.service(answers=str(n)) for n in range(2)]
    gw = stage.proxy(*services, workers=4)
    clients = [gw.client() for _ in range(7)]
    answers = [clients[n % 7].get().text for n in range(42)]
    assert set(answers[::2]) != set(answers[1::2]) and len(set(answers[::2])) == 1


def test_turns_go_on_over_a_reload(stage):
    services = [stage.service(answers=str(n)) for n in range(2)]
    gw = stage.proxy(*services, workers=2)
    answers = []
    for _ in range(6):
        answers += [gw.get().text for _ in range(3)]
        gw.hup()
    assert len(set(answers[::2])) == 1 and len(set(answers[1::2])) == 1


def test_concurrent_requests_are_shared_out_evenly(stage):
    services = [stage.service() for _ in range(4)]
    gw = stage.proxy(*services, workers=2)
    clients = [gw.client() for _ in range(40)]
    for _ in range(5):
        for c in clients:
            c.ask()
        for c in clients:
            assert c.answer().status == 200
    assert [s.seen for s in services] == [50] * 4


def test_each_service_has_its_own_counter(stage):
    a, b = [stage.service(answers=f"a{n}") for n in range(2)], [stage.service(answers=f"b{n}") for n in range(2)]
    gw = stage.gateway(services=[stage.route(*a, path="/a", name="a"), stage.route(*b, path="/b", name="b")], workers=2)
    answers = [(gw.get("/a").text, gw.get("/b").text) for _ in range(6)]
    assert len({x for x, _ in answers[::2]}) == 1 and len({x for x, _ in answers[1::2]}) == 1
    assert len({y for _, y in answers[::2]}) == 1 and len({x for x, _ in answers}) == 2


def test_one_that_refuses_is_passed_over(stage):
    services = [stage.service(answers=str(n)) for n in range(3)]
    gw = stage.proxy(*services, workers=2)
    services[1].away()
    assert {gw.get().text for _ in range(12)} == {"0", "2"}
    services[1].back()
    assert {gw.get().text for _ in range(6)} == {"0", "1", "2"}
