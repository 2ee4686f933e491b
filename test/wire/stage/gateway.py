"""The real binary in the foreground, with a configuration of the test's making."""
import copy
import glob
import json
import os
import re
import subprocess
import time
from signal import SIGHUP, SIGTERM

from . import process
from .client import Client
from .metrics import Metrics
from .ports import free_port

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:handle_abort=1:quarantine_size_mb=4:detect_stack_use_after_return=0:log_path={dir}/sanitizer",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:log_path={dir}/sanitizer",
}
BAD_WORDS = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|check failed:|Sanitizer:DEADLYSIGNAL")
START_SECONDS = 20
STOP_SECONDS = 20


def binary():
    return os.environ.get("SLUICE") or os.path.join(ROOT, "build", "debug", "sluice")


def merged(base, over):
    """Maps merge, all else is replaced; a value of None takes the key away."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class GatewayDied(AssertionError):
    pass


class Gateway:
    """One gateway: `port`, `dir` (its files), and what clients, operators and the kernel can do to it."""

    def __init__(self, directory, text=None, environment=None, arguments=None, wait=True, **config):
        self.dir = directory
        self.port = free_port()
        self.config_path = os.path.join(directory, "config.yaml")
        self.access_log = os.path.join(directory, "access.log")
        self.pid_file = os.path.join(directory, "sluice.pid")
        self.stderr_path = os.path.join(directory, "stderr")
        self.stdout_path = os.path.join(directory, "stdout")
        self.last = None
        self.code = None
        self.may_crash = False                # a test that kills workers by SIGKILL leaves no report anyway
        self.config = None
        self.clients = []
        self.notify = process.Notify(os.path.join(directory, "notify"))
        if text is None:
            self.write(**config)
        else:
            self.write_text(text)
        self._start(environment or {}, arguments)
        if wait:
            self._await_ready()

    # Configuration

    def base(self):
        return {
            "port": f"127.0.0.1:{self.port}",
            "process": {"workers": 2, "cpu_affinity": "none", "pid_file": self.pid_file},
            "shutdown": {"grace": "5s"},
            "logging": {"access": [{"to": f"file:{self.access_log}"}]},
        }

    def write(self, **config):
        workers = config.pop("workers", None)
        if workers is not None:
            config = merged(config, {"process": {"workers": workers}})
        self.config = merged(self.base(), config)
        self.write_text(json.dumps(self.config, indent=1))

    def write_text(self, text):
        """As an editor does: a new file in the place of the old."""
        text = text.replace("@PORT@", str(self.port)).replace("@DIR@", self.dir)
        with open(self.config_path + ".new", "w") as file:
            file.write(text)
        os.rename(self.config_path + ".new", self.config_path)

    # Its life

    def _start(self, environment, arguments):
        env = dict(os.environ, NOTIFY_SOCKET=self.notify.path)
        env.update({name: value.format(dir=self.dir) for name, value in SANITIZERS.items()})
        env.update(environment)
        with open(self.stderr_path, "ab") as err, open(self.stdout_path, "ab") as out:
            self.process = subprocess.Popen([binary(), *(arguments or [self.config_path])], env=env, stdout=out,
                                            stderr=err, stdin=subprocess.DEVNULL, start_new_session=True,
                                            cwd=self.dir, preexec_fn=process.die_with_us)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def _await_ready(self):
        if not self.notify.wait("READY=1", START_SECONDS, self.pidfd):
            ended = self.process.poll()
            raise GatewayDied(f"no READY (exit code {ended}, said {self.notify.said}):\n{self.stderr()}")

    def reload(self, **config):
        """Rewrite the configuration and wait until the gateway says that it is done with it."""
        self.write(**config)
        self.hup()

    def hup(self):
        self.signal(SIGHUP)
        self.wait_notified("READY=1")

    def wait_notified(self, line, seconds=START_SECONDS):
        if not self.notify.wait(line, seconds, self.pidfd):
            raise GatewayDied(f"no {line} (exit code {self.process.poll()}, said {self.notify.said}):\n{self.stderr()}")

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_end(self, seconds=STOP_SECONDS):
        """Wait until the master ends; returns its exit code."""
        if not process.wait_end(self.pidfd, seconds):
            raise AssertionError(f"still running after {seconds} s: "
                                 f"{[(p, process.title(p)) for p in process.in_session(self.pid)]}\n{self.stderr()}")
        self.code = self.process.wait()
        return self.code

    def stop(self, number=SIGTERM):
        if self.code is None:
            self.signal(number)
            self.wait_end()
        return self.code

    def finish(self):
        """The end of the play: stop it and tell everything that must not be."""
        problems = []
        for client in self.clients:
            client.close()
        if self.code is None:
            early = self.process.poll()
            if early is not None:
                self.code = early
                problems.append(f"the gateway ended by itself with {early}")
            else:
                try:
                    code = self.stop()
                    if code != 0:
                        problems.append(f"exit code {code} after SIGTERM")
                except AssertionError as error:
                    problems.append(str(error))
        left = process.in_session(self.pid)
        if left:
            problems.append(f"left behind: {[(pid, process.title(pid)) for pid in left]}")
            process.kill_session(self.pid)
        if self.code is None:
            self.process.kill()
            self.process.wait()
        problems += self.reports()
        os.close(self.pidfd)
        self.notify.close()
        return problems

    def reports(self):
        """What sanitizers and failed checks have said."""
        found = []
        for path in glob.glob(os.path.join(self.dir, "sanitizer.*")):
            with open(path, errors="replace") as file:
                found.append(file.read()[:6000])
        if BAD_WORDS.search(self.stderr()):
            found.append("on stderr: " + self.stderr()[-6000:])
        return found

    # What clients do

    address = property(lambda self: ("127.0.0.1", self.port))

    def client(self, **more):
        """A connection that stays; host= says whom its requests name."""
        client = Client(self.address, **more)
        self.clients.append(client)
        return client

    def raw(self, data, **more):
        client = self.client(**more)
        client.send(data)
        return client

    def request(self, method="GET", path="/", headers=(), body=None, **more):
        """One request on a connection of its own."""
        timeout = more.pop("timeout", 10)
        source = more.pop("source", None)
        with Client(self.address, timeout=timeout, source=source) as client:
            answer = client.request(method, path, headers, body, **more)
        self.last = answer                    # of the asking threads, one; each returns its own
        return answer

    def get(self, path="/", headers=(), **more):
        return self.request("GET", path, headers, **more)

    def post(self, path="/", body=b"", headers=(), **more):
        return self.request("POST", path, headers, body, **more)

    # What operators see

    def stderr(self):
        return read_text(self.stderr_path)

    def stdout(self):
        return read_text(self.stdout_path)

    def metrics(self):
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        return Metrics(answer.text)

    def wait_metric(self, ready, seconds=10):
        """Look again until ready(metrics): for what another process has yet to do."""
        return wait_until(lambda: (lambda m: m if ready(m) else None)(self.metrics()), seconds)

    def records(self, path=None):
        """The access log so far, one dict a line. Lines of one worker are in order, those of several are not."""
        return [json.loads(line) for line in read_text(path or self.access_log, "strict").split("\n")[:-1]]

    def records_tail(self):
        """The last lines as text, for the report of a failure."""
        return read_text(self.access_log)[-3000:]

    def wait_records(self, ready=1, seconds=10, path=None):
        """The access log as soon as it has `ready` lines (or ready(lines) holds): the caretaker writes it."""
        enough = ready if callable(ready) else lambda lines: len(lines) >= ready
        return wait_until(lambda: (lambda lines: lines if enough(lines) else None)(self.records(path)), seconds,
                          lambda: self.records(path)[-5:])

    def wait_stderr(self, pattern, seconds=10):
        return wait_until(lambda: re.search(pattern, self.stderr()), seconds, self.stderr)

    # What the kernel sees

    def family(self):
        return process.children(self.pid)

    def workers(self):
        return [pid for pid in self.family() if process.is_worker(pid) and process.alive(pid)]

    def caretaker(self):
        found = [pid for pid in self.family() if process.is_caretaker(pid) and process.alive(pid)]
        return found[0] if found else None

    def wait_workers(self, count, without=(), seconds=15):
        """Wait until there are `count` workers, none of them among `without`."""
        def now():
            living = self.workers()
            return living if len(living) == count and not set(living) & set(without) else None
        return wait_until(now, seconds, lambda: [(p, process.title(p)) for p in self.family()])

    def rss(self):
        return sum(process.rss(pid) for pid in [self.pid, *self.family()])


def read_text(path, errors="replace"):
    try:
        with open(path, encoding="utf-8", errors=errors) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def wait_until(look, seconds=10, explain=lambda: ""):
    """For files and /proc, which cannot be waited for: look every few milliseconds, within a deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {explain()}")
        time.sleep(0.005)
