"""Names of services are looked up by the master, for a bounded time, and who cannot be looked up keeps the addresses he had."""
import os
import subprocess

import pytest

SOURCE = os.path.join(os.path.dirname(__file__), "stage", "resolver.c")


class Resolver:
    """The system's resolver, as the gateway sees it."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "names")
        self.library = os.path.join(directory, "resolver.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", self.library, SOURCE, "-ldl"], check=True)
        self.says("here")

    def says(self, word):
        with open(self.path, "w", encoding="ascii") as f:
            f.write(word + "\n")
        with open(self.path + ".asked", "w", encoding="ascii"):
            pass

    def asked(self):
        with open(self.path + ".asked", encoding="ascii") as f:
            return f.read().split()

    def environment(self):
        # not in front of asan's own library, which does not mind
        return {"LD_PRELOAD": self.library, "NAMES": self.path, "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}


@pytest.fixture(name="resolver")
def a_resolver(tmp_path):
    return Resolver(str(tmp_path))


def named(stage, s, count=1):
    """Services that have their one endpoint by name."""
    return [{**stage.route(s, path=f"/u{i}", name=f"u{i}"), "urls": [f"http://u{i}.test:{s.port}"]} for i in range(count)]


def gateway(stage, resolver, services, **more):
    return stage.gateway(services=services, environment=resolver.environment(), **more)


def test_names_are_looked_up_at_the_start_and_at_each_reload(stage, resolver):
    gw = gateway(stage, resolver, named(stage, stage.service(answers="a")))
    assert gw.get("/u0").text == "a"
    assert resolver.asked() == ["u0.test"]
    gw.hup()
    assert resolver.asked() == ["u0.test"] * 2


@pytest.mark.parametrize("changed", [False, True])
def test_a_name_that_no_name_server_tells_of_keeps_its_addresses(stage, resolver, changed):
    s = stage.service(answers="a")
    gw = gateway(stage, resolver, named(stage, s))
    resolver.says("away")
    for _ in range(2):                             # also from one that had it kept already
        if changed:
            gw.reload(services=[{**one, "timeouts": {"request": f"{30 + len(resolver.asked())}s"}} for one in named(stage, s)])
        else:
            gw.hup()
        assert gw.get("/u0").text == "a"
    assert "u0.test cannot be looked up now: it keeps the addresses that it had" in gw.stderr()
    assert len(resolver.asked()) == 2


def test_a_name_that_is_no_more_loses_its_addresses(stage, resolver):
    gw = gateway(stage, resolver, named(stage, stage.service(answers="a")))
    resolver.says("gone")
    gw.hup()
    assert gw.get("/u0").status == 502
    assert "u0.test has no address now" in gw.stderr()
    resolver.says("here")
    gw.hup()
    assert gw.get("/u0").text == "a"


def test_a_reload_does_not_ask_for_long_when_nobody_answers(stage, resolver):
    many = 40
    gw = gateway(stage, resolver, named(stage, stage.service(answers="a"), many))
    resolver.says("slow")
    gw.hup()
    assert 1 <= len(resolver.asked()) < many / 2   # each takes 1.6 s
    assert {gw.get(f"/u{i}").text for i in range(many)} == {"a"}


def test_who_was_never_found_is_502_until_a_reload_finds_him(stage, resolver):
    resolver.says("away")
    gw = gateway(stage, resolver, named(stage, stage.service(answers="a")))
    assert gw.get("/u0").status == 502
    resolver.says("here")
    gw.hup()
    assert gw.get("/u0").text == "a"
