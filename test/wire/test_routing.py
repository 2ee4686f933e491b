"""Which service gets a request, and that no spelling of a path slips past a protected one."""
import pytest

from stage import names

KEYED = {"middleware_config": {"auth_apikey": {"valid_keys": ["k"]}}}


def routed(stage, *entries, **more):
    """A gateway with a service for each entry; each answers with its own name."""
    services = []
    for number, entry in enumerate(entries):
        name = entry.setdefault("name", f"n{number}")
        services.append(dict(urls=[stage.service(answers=name, name=name).url], **entry))
    return stage.gateway(services=services, **more)


def seen(stage):
    return sum(s.seen for s in stage.services)


@pytest.mark.parametrize("path, status", [
    ("/users", 200), ("/users/", 200), ("/users/7", 200), ("/users/7/orders", 200), ("/users?x=1", 200),
    ("/usersx", 404), ("/user", 404), ("/use", 404), ("/", 404), ("/users-old", 404), ("/users.json", 404), ("/xusers", 404),
    ("/USERS", 404), ("/x/users", 404),
])
def test_a_prefix_is_taken_by_whole_segments(shared, path, status):
    if not shared.gateways:
        routed(shared, {"route_pattern": "/users"})
    before = seen(shared)
    assert shared.gateways[0].get(path).status == status
    assert seen(shared) - before == (status == 200)


def test_slash_takes_all(stage):
    gw = routed(stage, {"route_pattern": "/"})
    assert [gw.get(path).status for path in ("/", "/a", "/a/b?c")] == [200] * 3


def test_an_unknown_path_is_404_before_any_service_is_touched(stage):
    gw = routed(stage, {"route_pattern": "/users"}, {"route_pattern": "/orders"})
    answer = gw.get("/nowhere")
    assert answer.status == 404 and all(s.connections == 0 for s in stage.services)
    assert gw.wait_records()[0]["reason"] == names.NO_ROUTE


def test_the_longest_match_wins_whatever_the_order(stage):
    gw = routed(stage, {"name": "all", "route_pattern": "/"}, {"name": "a", "route_pattern": "/a"},
                {"name": "abc", "route_pattern": "/a/b/c"}, {"name": "ab", "route_pattern": "/a/b"})
    found = {path: gw.get(path).text for path in ("/", "/x", "/a", "/a/x", "/ax", "/a/b", "/a/b/x", "/a/b/c", "/a/b/c/d", "/a/bc")}
    assert found == {"/": "all", "/x": "all", "/a": "a", "/a/x": "a", "/ax": "all", "/a/b": "ab", "/a/b/x": "ab",
                     "/a/b/c": "abc", "/a/b/c/d": "abc", "/a/bc": "a"}


def test_a_dead_end_falls_back_to_the_shorter_match(stage):
    gw = routed(stage, {"name": "all", "route_pattern": "/"}, {"name": "deep", "route_pattern": "/a/b/c/d"})
    assert gw.get("/a/b/c").text == "all"


def test_exact_variable_and_below(stage):
    gw = routed(stage,
                {"name": "exact", "routes": [{"path": "/orders/new"}]},
                {"name": "one", "routes": [{"path": "/orders/{id}"}]},
                {"name": "items", "routes": [{"path": "/orders/{id}/items"}]},
                {"name": "below", "routes": [{"path": "/files/**"}]})
    found = {path: gw.get(path).text for path in ("/orders/new", "/orders/7", "/orders/7/items", "/files", "/files/a/b")}
    assert found == {"/orders/new": "exact", "/orders/7": "one", "/orders/7/items": "items", "/files": "below", "/files/a/b": "below"}
    assert [gw.get(path).status for path in ("/orders", "/orders/7/x", "/orders/new/x")] == [404] * 3


def test_a_wrong_method_is_405_with_allow(stage):
    gw = routed(stage, {"name": "r", "routes": [{"path": "/orders/{id}", "methods": ["GET", "DELETE"]}]},
                {"name": "w", "routes": [{"path": "/orders/{id}", "methods": ["PUT"]}]})
    assert [gw.request(m, "/orders/1").text for m in ("GET", "DELETE", "PUT")] == ["r", "r", "w"]
    answer = gw.post("/orders/1", b"x")
    assert answer.status == 405
    assert {"GET", "DELETE", "PUT"} <= {word.strip() for word in answer.headers["Allow"].split(",")}
    assert {line["status"]: line["reason"] for line in gw.wait_records(4)}[405] == names.METHOD_NOT_ALLOWED


def test_head_goes_where_get_goes(stage):
    gw = routed(stage, {"name": "r", "routes": [{"path": "/a", "methods": ["GET"]}]})
    assert gw.request("HEAD", "/a").status == 200


def test_methods_are_told_apart_by_case(stage):
    gw = routed(stage, {"name": "r", "routes": [{"path": "/a", "methods": ["GET"]}]})
    assert gw.request("get", "/a").status == 405


def test_hosts_are_told_apart(stage):
    gw = routed(stage, {"name": "shop", "hosts": ["shop.test"], "route_pattern": "/"},
                {"name": "any", "hosts": ["*.wild.test"], "route_pattern": "/"},
                {"name": "rest", "route_pattern": "/"})
    found = {host: gw.get("/", host=host).text for host in
             ("shop.test", "SHOP.test", "shop.test:8080", "a.wild.test", "wild.test", "xshop.test", "other")}
    assert found == {"shop.test": "shop", "SHOP.test": "shop", "shop.test:8080": "shop", "a.wild.test": "any",
                     "wild.test": "rest", "xshop.test": "rest", "other": "rest"}


def test_the_host_of_an_absolute_target_counts(stage):
    gw = routed(stage, {"name": "shop", "hosts": ["shop.test"], "route_pattern": "/"}, {"name": "rest", "route_pattern": "/"})
    assert gw.get("http://shop.test/x", host="shop.test").text == "shop"


def test_the_query_is_not_part_of_the_path(stage):
    gw = routed(stage, {"name": "a", "route_pattern": "/a"}, {"name": "b", "route_pattern": "/b"})
    assert gw.get("/a?/../b").text == "a"


# Spellings of /users, which wants a key, next to a service that takes everything without one.

SPELLINGS = [
    "/users", "/users/", "/users/.", "/./users", "/%75sers", "/%75%73%65%72%73", "/user%73", "//users", "///users//", "/a/../users",
    "/a/b/../../users", "/a/./../users", "/%2e/users", "/a/%2e%2e/users", "/a/%2E./users", "/a/.%2e/users", "/users/x/../", "/users/x/..",
    "/users/../users", "/users?x", "http://gateway.test/users", "http://gateway.test//users", "/users%3Fx", "/%55sers/../users",
    "/users/%2e", "/a/..//users", "//a/..//users/1",
]
REFUSED = [
    "/users%2f..", "/users%2F1", "/%2fusers", "/a%2f..%2fusers", "/users%00", "/%00users", "/users%5c1", "/users\\1", "/..%5cusers",
    "/..", "/../users", "/a/../../users", "/%2e%2e/users", "/users%", "/users%2", "/users%zz", "/users%u0041", "/%c0%afusers", "/users%ff",
    "/users%c3%28", "/%e0%80%afusers", "/..;/users", "/a/..;x=1/users", "/users%0d%0aX:y", "/users%7f", "/%ed%a0%80",
]


@pytest.fixture(scope="module")
def guarded(shared):
    public, secret = shared.service(answers="public"), shared.service(answers="secret")
    gw = shared.gateway(services=[shared.route(public, path="/", name="public"),
                                  shared.route(secret, path="/users", name="secret", middleware=["auth_apikey"])], **KEYED)
    gw.public, gw.secret = public, secret
    return gw


@pytest.mark.parametrize("path", SPELLINGS)
def test_every_spelling_of_a_protected_path_wants_the_key(guarded, path):
    if path == "/users%3Fx":
        assert guarded.get(path).status in (200, 400, 401)       # another name: "users?x" is not "users"
        return
    before = guarded.public.seen + guarded.secret.seen
    assert guarded.get(path).status in (400, 401)
    assert guarded.public.seen + guarded.secret.seen == before
    answer = guarded.get(path, {"X-API-KEY": "k"})
    assert answer.status == 400 or answer.text == "secret"


@pytest.mark.parametrize("path", REFUSED)
def test_what_cannot_be_normalised_safely_is_400(guarded, path):
    before = guarded.public.seen + guarded.secret.seen
    answer = guarded.get(path, {"X-API-KEY": "k"})
    assert answer.status == 400, answer
    assert guarded.public.seen + guarded.secret.seen == before


# A service that does not resolve dot segments takes /users/../x for something below /users, whatever the gateway thinks.

@pytest.mark.parametrize("path", ["/users/../x", "/users/..", "/users/delete/../../x", "/users/%2e%2e/x", "/users/.%2E/", "/./users/../x",
                                  "/user%73/../x", "/users/./../x", "http://gateway.test/users/../x", "/users/a//b/../../../x"])
def test_dot_segments_do_not_lead_out_of_a_protected_path(guarded, path):
    before = guarded.public.seen + guarded.secret.seen
    assert guarded.get(path).status in (400, 401)
    assert guarded.public.seen + guarded.secret.seen == before


@pytest.mark.parametrize("path", ["/a/../b", "/./b", "/a/b/..", "/usersx/../b", "/a/./users"])
def test_dot_segments_that_lead_nowhere_else_pass_as_they_are(guarded, path):
    assert guarded.get(path).text == "public"
    assert guarded.public.last.target == path


@pytest.mark.parametrize("path", ["/a%20b", "/caf%C3%A9", "/a+b", "/a;v=1", "/a:b@c", "/a/...", "/.well-known/x", "/a/..b", "/%7Eme",
                                  "/a%25b", "/-._~!$&'()*+,;=:@"])
def test_ordinary_oddities_pass_as_they_are(guarded, path):
    assert guarded.get(path).text == "public"
    assert guarded.public.last.target == path


def test_a_variable_is_no_way_around_a_longer_route(stage):
    gw = routed(stage, {"name": "any", "routes": [{"path": "/{x}"}]},
                {"name": "users", "route_pattern": "/users", "middleware": ["auth_apikey"]}, **KEYED)
    assert [gw.get(p).status for p in ("/users", "/user%73", "/./users")] == [401] * 3
    assert gw.get("//users").status in (400, 401)
    assert gw.get("/other").text == "any"


def test_500_routes_are_told_apart(stage):
    s = stage.service(answers="ok")
    gw = stage.gateway(services=[stage.route(s, path=f"/r{n}/x", name=f"r{n}") for n in range(500)])
    assert [gw.get(f"/r{n}/x").status for n in (0, 1, 250, 499)] == [200] * 4
    assert [gw.get(p).status for p in ("/r500/x", "/r1", "/r1/y", "/r")] == [404] * 4


def test_the_unmatched_answer_is_configurable(stage):
    gw = routed(stage, {"route_pattern": "/a"}, unmatched={"status": 410, "body": "Gone away"})
    answer = gw.get("/b")
    assert answer.status == 410 and answer.text.strip() == "Gone away"


def test_names_of_the_gateway_itself_are_not_taken_by_slash(stage):
    gw = routed(stage, {"route_pattern": "/"})
    assert gw.get("/metrics").text != "n0" and gw.get("/health").text != "n0"
    assert gw.get("/metricsx").text == "n0"
