"""The command line: check, print, reference, status, reload, stop; and a start that fails says why."""
import os
import re
import signal
import socket
import subprocess

import pytest

from stage import process
from stage.client import Client
from stage.gateway import ROOT, SANITIZERS, binary, wait_until
from stage.ports import free_port

GOOD = """port: "127.0.0.1:0"
middleware_config:
  auth_apikey:
    valid_keys: ["very-secret-key"]
services:
  - name: users
    route_pattern: "/users"
    urls: ["http://127.0.0.1:1"]
    middleware: ["auth_apikey", "rate_limit"]
    rate_limit_rps: 200
"""


@pytest.fixture
def checked(stage):
    def run(text, *arguments, **more):
        directory = stage.new_dir()
        with open(os.path.join(directory, "config.yaml"), "w") as file:
            file.write(text)
        return stage.sluice(*(arguments or ("check",)), "config.yaml", cwd=directory, **more)
    return run


def good(*changes):
    text = GOOD.replace(":0", ":8099")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_good_file_is_good(checked):
    done = checked(good())
    assert done.returncode == 0, done.stderr


PROBLEMS = {
    "no number": (("rate_limit_rps: 200", "rate_limit_rps: abc"), r"config\.yaml:10:\d+: .*rate_limit_rps.*abc"),
    "unknown key": (("route_pattern:", "route_patern:"), r"config\.yaml:7:\d+: .*route_patern.*route_pattern"),
    "unknown key at the top": (("port:", "prot:"), r"config\.yaml:1:\d+: .*prot.*port"),
    "unknown middleware": (('"rate_limit"]', '"rate_limt"]'), r"config\.yaml:9:\d+: .*rate_limt.*rate_limit"),
    "no urls": (('    urls: ["http://127.0.0.1:1"]\n', ""), r"config\.yaml:\d+:\d+: .*urls"),
    "empty urls": (('["http://127.0.0.1:1"]', "[]"), r"config\.yaml:8:\d+: .*urls"),
    "bad url": (('http://127.0.0.1:1"', 'gopher://x"'), r"config\.yaml:8:\d+: .*gopher"),
    "bad port": (('"127.0.0.1:8099"', '"127.0.0.1:99999"'), r"config\.yaml:1:\d+: .*port"),
    "pattern without a slash": (('"/users"', '"users"'), r"config\.yaml:7:\d+: .*users"),
    "negative rate": (("rate_limit_rps: 200", "rate_limit_rps: -5"), r"config\.yaml:10:\d+: .*rate_limit_rps.*positive"),
    "a list where a word belongs": (("name: users", "name: [users]"), r"config\.yaml:6:\d+: .*name"),
    "no YAML": (("services:", "services: ]"), r"config\.yaml:\d+:\d+: "),
    "tab": (("  auth_apikey", "\tauth_apikey"), r"config\.yaml:3:\d+: "),
    "a key twice": (("    rate_limit_rps: 200\n", "    rate_limit_rps: 200\n    rate_limit_rps: 300\n"), r"config\.yaml:11:\d+: .*rate_limit_rps"),
    "unset variable": (('"very-secret-key"', '"${NO_SUCH_NAME}"'), r"config\.yaml:4:\d+: .*NO_SUCH_NAME"),
    "unreadable file": (('"very-secret-key"', '"${file:/no/such/file}"'), r"config\.yaml:4:\d+: .*/no/such/file"),
}


@pytest.mark.parametrize("case", PROBLEMS, ids=[case.replace(" ", "-") for case in PROBLEMS])
def test_a_problem_is_told_with_its_place(checked, case):
    change, expected = PROBLEMS[case]
    done = checked(good(change))
    assert done.returncode != 0
    assert re.search(expected, done.stderr), done.stderr


def test_all_problems_are_told_at_once(checked):
    done = checked(good(("rate_limit_rps: 200", "rate_limit_rps: abc"), ("route_pattern:", "route_patern:"), ('"rate_limit"]', '"nonsense"]')))
    assert done.returncode != 0
    assert all(re.search(rf"config\.yaml:{line}:", done.stderr) for line in (7, 9, 10)), done.stderr


def test_the_same_name_twice_is_a_problem(checked):
    done = checked(good() + good().split("services:\n")[1])
    assert done.returncode != 0 and "users" in done.stderr


@pytest.mark.parametrize("text", ["a: &a [*a]", "{" * 3000, "x: " + "[" * 3000,
                                  "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9))])
def test_hostile_yaml_is_refused_quickly(checked, text):
    done = checked(text, timeout=10)
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT) and done.stderr


def test_a_file_that_is_not_there_is_named(stage):
    done = stage.sluice("check", "/no/such/config.yaml")
    assert done.returncode != 0 and "/no/such/config.yaml" in done.stderr


def test_secrets_are_never_told(checked):
    done = checked(good(), "print")
    assert done.returncode == 0 and "very-secret-key" not in done.stdout + done.stderr
    assert "rate_limit" in done.stdout and "/users" in done.stdout


def test_print_says_what_takes_effect(checked):
    done = checked(good(), "print")
    assert "200" in done.stdout and "upstream_header" in done.stdout and "30s" in done.stdout


def test_what_print_says_loads_again(checked):
    secretless = good(('middleware_config:\n  auth_apikey:\n    valid_keys: ["very-secret-key"]\n', ""), ('"auth_apikey", ', ""))
    done = checked(secretless, "print")
    again = checked(done.stdout)
    assert done.returncode == 0 and again.returncode == 0, again.stderr


def test_reference_is_the_committed_one(stage):
    done = stage.sluice("reference")
    assert done.returncode == 0 and "rate_limit_rps" in done.stdout
    with open(os.path.join(ROOT, "conf", "REFERENCE.md")) as file:
        assert file.read() == done.stdout


def test_version_is_said(stage):
    done = stage.sluice("--version")
    assert done.returncode == 0 and re.match(r"sluice \d+\.\d+", done.stdout)


def test_help_names_the_commands(stage):
    done = stage.sluice("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("check", "print", "reference", "reload", "stop", "status", "limits", "--daemon", "config.yaml"))


@pytest.mark.parametrize("arguments", [["--nonsense"], ["check", "a", "b"], ["one", "two", "three"]])
def test_wrong_usage_is_told(stage, arguments):
    done = stage.sluice(*arguments)
    assert done.returncode not in (0, -signal.SIGABRT) and done.stderr


def test_a_bad_file_does_not_start(stage):
    gw = stage.gateway(text=good(("rate_limit_rps: 200", "rate_limit_rps: abc")), wait=False)
    assert gw.wait_end(10) not in (0, -signal.SIGABRT)
    assert re.search(r"config\.yaml:10:\d+: ", gw.stderr())


def test_a_port_in_use_is_told_with_the_port(stage):
    other = stage.service()
    gw = stage.gateway(text=good(("127.0.0.1:8099", f"127.0.0.1:{other.port}")), wait=False)
    assert gw.wait_end(10) not in (0, -signal.SIGABRT)
    assert str(other.port) in gw.stderr() and re.search("in use", gw.stderr(), re.I)


def test_two_gateways_do_not_share_a_port_by_accident(stage):
    first = stage.proxy(stage.service(answers="first"))
    second = stage.gateway(text=good(("127.0.0.1:8099", f"127.0.0.1:{first.port}")), wait=False)
    assert second.wait_end(10) not in (0, -signal.SIGABRT)
    assert first.get().text == "first"


def test_the_default_file_is_config_yaml(stage):
    s = stage.service()
    gw = stage.proxy(s)
    gw.stop()
    again = stage.gateway(services=[stage.route(s, path="/")], arguments=["config.yaml"])
    assert again.get().status == 200


def test_status_reload_and_stop_find_it_by_its_pid_file(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.proxy(a)
    status = stage.sluice("status", gw.config_path)
    assert status.returncode == 0 and str(gw.pid) in status.stdout
    gw.write(**{**gw.config, "services": [stage.route(b, path="/", name="u")]})
    assert stage.sluice("reload", gw.config_path).returncode == 0
    gw.wait_notified("READY=1")
    assert gw.get().text == "b"
    assert stage.sluice("stop", gw.config_path).returncode == 0
    assert gw.wait_end() == 0
    assert stage.sluice("status", gw.config_path).returncode != 0


def test_pid_file_may_be_named_on_the_command_line(stage):
    gw = stage.proxy(stage.service())
    assert stage.sluice("status", "--pid-file", gw.pid_file).returncode == 0


@pytest.mark.parametrize("command", ["reload", "stop", "status"])
def test_without_a_running_gateway_they_say_so(stage, command):
    gw = stage.proxy(stage.service())
    gw.stop()
    done = stage.sluice(command, gw.config_path)
    assert done.returncode != 0 and done.stdout + done.stderr


def test_a_stale_pid_file_kills_no_stranger(stage):
    gw = stage.proxy(stage.service())
    gw.stop()
    stranger = subprocess.Popen(["sleep", "30"])
    try:
        with open(gw.pid_file, "w") as file:
            file.write(f"{stranger.pid}\n")
        assert stage.sluice("stop", gw.config_path).returncode != 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_daemon_returns_when_it_serves(stage):
    s = stage.service(answers="from the background")
    gw = stage.proxy(s)                     # for its directory and configuration
    gw.stop()
    env = dict(os.environ, **{name: value.format(dir=gw.dir) for name, value in SANITIZERS.items()})
    done = subprocess.run([binary(), "--daemon", gw.config_path], env=env, timeout=20, cwd=gw.dir, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert done.returncode == 0
    pid = int(open(gw.pid_file).read())
    try:
        assert gw.get().text == "from the background"
        assert stage.sluice("stop", gw.config_path).returncode == 0
        assert process.wait_pid_end(pid)
    finally:
        if process.alive(pid):
            os.kill(pid, signal.SIGKILL)
    assert not gw.reports()


def test_daemon_that_cannot_serve_returns_with_an_error(stage):
    other = stage.service()
    directory = stage.new_dir()
    with open(directory + "/config.yaml", "w") as file:
        file.write(good(("127.0.0.1:8099", f"127.0.0.1:{other.port}")))
    done = stage.sluice("--daemon", "config.yaml", cwd=directory)
    assert done.returncode != 0 and str(other.port) in done.stderr


def test_a_unix_socket_may_be_listened_on(stage):
    s = stage.service()
    gw = stage.gateway(services=[stage.route(s, path="/")], listeners=[{"name": "local", "address": "unix:/tmp/sluice-%d.sock" % os.getpid()}])
    with Client("/tmp/sluice-%d.sock" % os.getpid()) as c:
        assert c.get().status == 200
    gw.stop()


def test_ipv6_may_be_listened_on(stage):
    s = stage.service()
    port = free_port()
    gw = stage.gateway(services=[stage.route(s, path="/")], listeners=[{"name": "six", "address": f"[::1]:{port}"}])
    with socket.create_connection(("::1", port), 5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    wait_until(lambda: s.seen == 1)
    assert s.last.headers["X-Forwarded-For"] in ("::1", "[::1]") and 'for="[::1]' in s.last.headers["Forwarded"]
    assert gw.wait_records()[0]["client"] == "::1"


def test_workers_drop_their_rights_and_the_master_keeps_them(stage):
    if os.geteuid() != 0:
        pytest.skip("only root can drop rights")
    gw = stage.proxy(stage.service(), process={"user": "nobody"})
    assert gw.get().status == 200

    def uid(pid):
        with open(f"/proc/{pid}/status") as file:
            return int(re.search(r"^Uid:\s+\d+\s+(\d+)", file.read(), re.M)[1])
    assert uid(gw.pid) == 0 and all(uid(pid) != 0 for pid in gw.family())
    gw.wait_records()
    gw.hup()
    assert gw.get().status == 200
