"""The proxies, each told to be the same thing: a Service, in its own words and tuned as its makers advise."""
import dataclasses
import http.client
import os
import pwd
import shutil
import time

from stage import Failed

KEYS = ["abc-123", "dwe-569"]
NEVER = 1_000_000                # a rate that no load here reaches


@dataclasses.dataclass(frozen=True)
class Service:
    origin: int                  # port of the service behind
    log: bool = False            # JSON access log to a file, and metrics
    chain: bool = False          # S3's chain: API key, limit, breaker; with log and metrics
    rate: int = NEVER            # requests a second and key
    workers: int = 1
    routes: int = 0              # 0: one that takes all; else /r00000 …, and nothing else
    connections: int = 4096


class Proxy:
    """A kind of proxy. `argv` writes its files below stage.directory and says how to start it."""
    name = ""
    candidates = ()

    def __init__(self, binary=None):
        self.binary = binary or next(filter(None, map(shutil.which, self.candidates)), None)
        if self.binary:
            self.binary = os.path.abspath(self.binary)

    def here(self):
        return bool(self.binary) and os.access(self.binary, os.X_OK)

    def argv(self, stage, service, tag, port):
        raise NotImplementedError

    def start(self, stage, service, number):
        """Running, pinned and seen to answer."""
        port = stage.port()
        tag = f"{self.name}-{number}"
        log = stage.path(f"{tag}.access")
        cores = stage.proxy_core if service.workers == 1 else set(stage.cores)
        with open(log, "ab") as stdout:
            child = stage.start(tag, self.argv(stage, service, tag, port), cores, stdout=stdout)
        running = Running(self, service, child, port, log)
        try:
            child.wait_for_port(port)
            running.check()
        except Exception:
            child.stop()
            raise
        return running


class Running:
    """A proxy at work."""

    def __init__(self, proxy, service, child, port, log):
        self.proxy, self.service, self.child, self.port, self.log = proxy, service, child, port, log

    name = property(lambda self: self.proxy.name)

    def pids(self):
        return self.child.pids()

    def check(self):
        """That it is the service it was told to be, before anything is measured."""
        path = "/r00000/1k" if self.service.routes else "/1k"
        with_key = {"X-API-KEY": KEYS[0]} if self.service.chain else {}
        expected = [(with_key, 200)]
        if self.service.chain and self.proxy.name != "relay":
            expected = [({"X-API-KEY": "wrong"}, 401)] + expected
            if self.service.rate < NEVER:
                expected += [(with_key, 429)] * 3
        seen = [self.ask(path, headers) for headers, _ in expected]
        good = [status for _, status in expected]
        if self.service.chain and self.service.rate < NEVER:
            seen, good = seen[:2] + seen[-1:], good[:2] + good[-1:]      # a burst of 2 or 3 is no fault
        if seen != good:
            raise Failed(f"{self.name} answers {seen}, not {good}: {self.child.last_words()}")

    def ask(self, path, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException) as problem:
            raise Failed(f"{self.name} does not answer: {problem!r}; {self.child.last_words()}") from None
        finally:
            connection.close()

    def empty_log(self):
        """So that no disk fills: all of them append."""
        os.truncate(self.log, 0)

    def logged(self, expected, seconds=3):
        """Lines of access log, once `expected` have come or none came for so long (a log may be written behind)."""
        lines, quiet_since = 0, time.monotonic()
        with open(self.log, "rb") as f:
            while lines < expected and time.monotonic() < quiet_since + seconds:
                read = f.read()
                lines += read.count(b"\n")
                if read:
                    quiet_since = time.monotonic()
                else:
                    time.sleep(0.05)
        return lines

    def stop(self):
        self.child.stop()


class Sluice(Proxy):
    name = "sluice"

    def argv(self, stage, service, tag, port):
        middleware = ["auth_apikey", "rate_limit", "circuit_breaker", "metrics"] if service.chain else \
                     ["metrics"] if service.log else []
        access = f"file:{stage.path(tag)}.access" if service.log or service.chain else "off"
        lines = [
            f'port: "127.0.0.1:{port}"',
            f"process: {{workers: {service.workers}, cpu_affinity: auto, max_connections: {service.connections}}}",
            "limits: {requests_per_connection: 0}",
            f'logging: {{level: warn, access: [{{to: "{access}"}}]}}',
            f"middleware_config: {{auth_apikey: {{valid_keys: {KEYS}}}}}" if service.chain else "",
            "services:",
            "  - name: users",
            f'    route_pattern: "{"/r00000" if service.routes else "/"}"',
            f'    urls: ["http://127.0.0.1:{service.origin}"]',
            f"    middleware: [{', '.join(middleware)}]",
        ]
        if service.chain:
            lines += [f"    rate_limit_rps: {service.rate}", f"    rate_limit_burst: {service.rate}",
                      "    cb_failure_threshold: 6", "    cb_reset_timeout_seconds: 15"]
        if service.routes > 1:
            lines += ["    routes:"] + [f"      - path: /r{n:05}/**" for n in range(1, service.routes)]
        return [self.binary, stage.write(f"{tag}.yaml", "\n".join(filter(None, lines)) + "\n")]


class Nginx(Proxy):
    name = "nginx"
    candidates = ("nginx", "/usr/sbin/nginx")

    # With many large buffers (8 256k, 16 64k) nginx gives their memory back to the kernel after each
    # large answer and faults it in again for the next: twice the CPU. Its default of 8 4k is as slow.
    buffers = "16 16k"

    def argv(self, stage, service, tag, port):
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        log = service.log or service.chain
        limit = f"limit_req zone=keys{f' burst={NEVER} nodelay' if service.rate == NEVER else ''};"
        to_origin = "proxy_pass http://origin;"
        locations = [f"location / {{ {to_origin} }}"] if not service.routes else \
                    [f"location /r{n:05} {{ {to_origin} }}" for n in range(service.routes)]
        temp = "\n".join(f"{what}_temp_path {stage.path(tag)}.{what};"
                         for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = f"""
daemon off;
{user}
worker_processes {service.workers};
{"worker_cpu_affinity auto;" if service.workers > 1 else ""}
pid {stage.path(tag)}.pid;
error_log stderr warn;
events {{ worker_connections {service.connections + 512}; multi_accept on; }}
http {{
    {temp}
    log_format json escape=json '{{"ts":"$time_iso8601","method":"$request_method","path":"$uri","status":$status,'
        '"latency_ms":$request_time,"service":"users","client":"$remote_addr","upstream":"$upstream_addr"}}';
    access_log {f"{stage.path(tag)}.access json buffer=64k flush=1s" if log else "off"};
    keepalive_requests {NEVER * 1000};
    keepalive_timeout 1h;
    client_body_buffer_size 128k;
    proxy_max_temp_file_size 0;
    proxy_buffers {self.buffers};
    proxy_busy_buffers_size {2 * int(self.buffers.split()[1].rstrip("k"))}k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    upstream origin {{
        server 127.0.0.1:{service.origin} max_fails=6 fail_timeout=15s;
        keepalive 256;
        keepalive_requests {NEVER * 1000};
        keepalive_timeout 1h;
    }}
    map $http_x_api_key $known {{ default 0; {" ".join(f'"{key}" 1;' for key in KEYS)} }}
    limit_req_zone $http_x_api_key zone=keys:10m rate={service.rate}r/s;
    limit_req_status 429;
    limit_req_log_level info;
    server {{
        listen 127.0.0.1:{port} backlog=4096{" reuseport" if service.workers > 1 else ""};
        {"location = /metrics { stub_status; }" if log else ""}
        {'if ($known = 0) { return 401 "Authentication Failed"; }' + limit if service.chain else ""}
        {chr(10).join(locations)}
    }}
}}
"""
        return [self.binary, "-p", stage.directory, "-c", stage.write(f"{tag}.conf", config)]


class Haproxy(Proxy):
    name = "haproxy"
    candidates = ("haproxy", "/usr/sbin/haproxy")

    def argv(self, stage, service, tag, port):
        log = service.log or service.chain
        fields = {"ts": '"%trl"', "method": '"%HM"', "path": '"%HP"', "status": "%ST", "latency_ms": "%Ta",
                  "service": '"%b"', "client": '"%ci"', "upstream": '"%si:%sp"'}
        line = "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
        chain = f"""
    acl known hdr(X-API-KEY) -m str {" ".join(KEYS)}
    http-request return status 401 content-type text/plain string "Authentication Failed" unless known
    http-request track-sc0 hdr(X-API-KEY) table keys
    http-request return status 429 content-type text/plain string "Too Many Requests" \
if {{ sc_http_req_rate(0) gt {service.rate} }}
"""
        routed = ""
        if service.routes:
            prefixes = stage.write(f"{tag}.map", "".join(f"/r{n:05}/ origin\n" for n in range(service.routes)))
            routed = f"use_backend %[path,map_beg({prefixes})]"
        threads = f"1-{service.workers}" if service.workers > 1 else "1"
        on_cores = f"cpu-map auto:1/{threads} {'-'.join(map(str, stage.cores))}" if service.workers > 1 else ""
        config = f"""
global
    nbthread {service.workers}
    {on_cores}
    maxconn {service.connections + 512}
    no strict-limits
    {"log stdout format raw local0" if log else ""}
defaults
    mode http
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    option http-keep-alive
    option forwardfor
    http-reuse always
    maxconn {service.connections + 512}
    {"log global" if log else ""}
frontend in
    bind 127.0.0.1:{port} backlog 4096
    {"log-format '" + line + "'" if log else ""}
    {"http-request use-service prometheus-exporter if { path /metrics }" if log else ""}
    {chain if service.chain else ""}
    {routed if service.routes else "default_backend origin"}
backend origin
    server o1 127.0.0.1:{service.origin} {"check observe layer7 error-limit 6 on-error mark-down" if service.chain else ""}
backend keys
    stick-table type string len 64 size 100k expire 1m store http_req_rate(1s)
"""
        return [self.binary, "-W", "-f", stage.write(f"{tag}.cfg", config)]


class Relay(Proxy):
    """The floor (test/bench/relay.c): it takes part where no answer is made by the proxy itself."""
    name = "relay"

    def argv(self, stage, service, tag, port):
        return [self.binary, "--port", str(port), "--to", str(service.origin)]
