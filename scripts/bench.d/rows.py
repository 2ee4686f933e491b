"""The rows: which service, which load, and what each has to reach.

A goal compares medians over interleaved rounds. "nginx" and the like: the ratio of the same round,
Sluice to that one, median over the rounds, so that a slow minute of the machine hits both sides of
it. "" stands for the figure itself.
"""
import contextlib
import dataclasses
import json
import os
import re
import resource
import shutil
import statistics
import time

import proxies
from stage import Failed, busy_ns, cpu_clock_ns, pss_kib

KEY = ["--header", f"X-API-KEY: {proxies.KEYS[0]}"]
WRONG_KEY = ["--header", "X-API-KEY: nobody"]
MANY = 10_000


@dataclasses.dataclass(frozen=True)
class Goal:
    metric: str
    limit: float
    beside: str = ""             # a proxy, or "" for the figure itself
    least: bool = False          # the limit is a lower one


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    goals: tuple
    measure: str = "compare"     # the method of Bench
    service: dict = dataclasses.field(default_factory=dict)
    load: tuple = ()
    metric: str = "cpu_us"       # what is printed of each proxy
    relay: bool = False


def cpu(nginx, haproxy, relay=None):
    goals = [Goal("cpu_us", nginx, "nginx")]
    if haproxy:
        goals.append(Goal("cpu_us", haproxy, "haproxy"))
    if relay:
        goals.append(Goal("cpu_us", relay, "relay"))
    return tuple(goals)


CHAIN = {"chain": True}
FEW = ("--connections", "16")

ROWS = {
    "plain": Row("plain proxy, 1 KiB, 64 connections", cpu(0.80, 0.80, 1.15), relay=True),
    "log": Row("with JSON access log and metrics", cpu(0.75, 0.60), service={"log": True}),
    "chain": Row("S3's whole chain: key, limit, breaker, metrics, log", cpu(0.85, 0.55), service=CHAIN, load=(*KEY,)),
    "limited": Row("refused by the limit (429)", cpu(0.95, 0.55), service={"chain": True, "rate": 1},
                   load=(*KEY, "--status", "429")),
    "unknown": Row("refused by the key (401)", cpu(0.95, 0.55), service=CHAIN, load=(*WRONG_KEY, "--status", "401")),
    "oneshot": Row("a new client connection for each request", cpu(0.85, 0.70), load=("--oneshot",)),
    "large": Row("1 MiB answers", cpu(0.60, None), load=("--path", "/1m", *FEW), relay=True),
    "upload": Row("64 KiB uploads", cpu(0.80, None), load=("--post", "65536", *FEW), relay=True),
    "routes": Row("10 000 routes instead of 1: more CPU per request", (Goal("cpu_us", 0.2), Goal("pss_mib", 4)),
                  measure="routes", load=("--path", "/r%/1k", "--paths", str(MANY))),
    "idle": Row("an idle keep-alive connection, KiB", (Goal("idle_kib", 0.4),), measure="idle", metric="idle_kib"),
    "memory": Row("worker after load, PSS MiB", (Goal("worker_mib", 6),), measure="memory", metric="worker_mib"),
    "calls": Row("system calls per proxied request", (Goal("calls", 4.1),), measure="calls", metric="calls", relay=True),
    "calls429": Row("system calls per refusal", (Goal("calls", 2.1),), measure="calls", metric="calls",
                    service={"chain": True, "rate": 1}, load=(*KEY, "--status", "429")),
    "rate": Row("p99 at 10 000 requests/s, us", (Goal("p99_us", 1.0, "haproxy"),), load=("--rate", "10000"),
                metric="p99_us", relay=True),
    "two": Row("two workers on two cores, everything on them: requests/s", (Goal("rps", 1.18, "nginx", least=True),),
               service={"workers": 2}, load=("--threads", "2", "--pin"), metric="rps"),
    "micro": Row("a decision of a limit, the slowest of one word",
                     (Goal("hot_ns", 50), Goal("shared_ns", 250), Goal("million_ns", 250), Goal("spread", 1.5)),
                     measure="decisions", metric="hot_ns"),
}


class Bench:
    """Runs rows. Samples are dicts of figures; a result is {proxy: [sample of round 1, …]}."""

    def __init__(self, stage, options, kinds, tools, say):
        self.stage, self.options, self.kinds, self.tools, self.say = stage, options, kinds, tools, say
        self.origin_port = stage.port()
        self.origin = stage.start("origin", [tools["origin"], "--port", str(self.origin_port), "--processes", "2"],
                                  set(stage.cores))
        self.origin.wait_for_port(self.origin_port)
        self.started = 0
        self.troubles = []       # what makes a result doubtful, for people

    # -- pieces --

    def kinds_of(self, row):
        return [kind for kind in self.kinds if kind.name != "relay" or row.relay]

    @contextlib.contextmanager
    def running(self, row, **more):
        """All proxies as this row wants them, at work together; those that cannot be are left out, aloud."""
        service = proxies.Service(**({"origin": self.origin_port} | row.service | more))
        self.place_origin(service.workers)
        started = []
        try:
            for kind in self.kinds_of(row):
                self.started += 1
                try:
                    started.append(kind.start(self.stage, service, self.started))
                except Failed as problem:
                    self.trouble(f"{kind.name} left out: {problem}")
            yield started
        finally:
            for proxy in started:
                proxy.stop()

    def place_origin(self, workers):
        """One worker: the origin shares the load's core. More: everything on all cores."""
        for pid in self.origin.pids():
            os.sched_setaffinity(pid, self.stage.load_core if workers == 1 else set(self.stage.cores))

    def trouble(self, text):
        self.troubles.append(text)
        self.say(f"  ! {text}")

    def load(self, proxy, arguments, warm_ms=None, run_ms=None, before=()):
        """Put load on a proxy; returns load's own report. `before`: a command that runs it."""
        argv = [*before, self.tools["load"], "--port", str(proxy.port),
                "--warm", str(warm_ms or self.options.warm_ms), "--run", str(run_ms or self.options.run_ms),
                "--cpu", ",".join(map(str, proxy.pids() + self.origin.pids())), *arguments]
        cores = self.stage.load_core if proxy.service.workers == 1 else set(self.stage.cores)
        report = json.loads(self.stage.run("load", argv, cores, 90).splitlines()[-1])
        # a limit of 1/s lets one through now and then, as it should
        let_through = proxy.service.rate * (3 + report["seconds"]) if proxy.service.rate < proxies.NEVER else 0
        report["errors"]["status"] = max(0, report["errors"]["status"] - int(let_through))
        errors = {what: n for what, n in report["errors"].items() if n}
        if errors:
            self.trouble(f"{proxy.name}: errors under load: {errors}, statuses {report['statuses']}")
        return report

    def sample(self, proxy, arguments):
        """One run: CPU of all processes of the proxy per request, rates, latencies; and who else used the CPUs."""
        pids = proxy.pids()
        for attempt in (1, 2):
            busy, begun = busy_ns(), time.monotonic_ns()
            ours = [self.clock(pid) for pid in (*pids, *self.origin.pids())]
            report = self.load(proxy, arguments)
            spent = sum(map(self.clock, (*pids, *self.origin.pids()))) - sum(ours)
            # the load's own time is known for the counted part only; the whole is in proportion
            spent += report["own_cpu_ns"] * (1 + self.options.warm_ms / self.options.run_ms)
            foreign = max(0, busy_ns() - busy - spent) / (2 * (time.monotonic_ns() - begun))
            if foreign < QUIET or attempt == 2:
                break
        if not report["requests"]:
            raise Failed(f"{proxy.name}: no answer at all")
        used = sum(report["cpu_ns"][str(pid)] for pid in pids)
        return {"cpu_us": used / report["requests"] / 1e3, "rps": report["requests"] / report["seconds"],
                "busy": used / report["seconds"] / 1e9, "foreign": foreign, "errors": sum(report["errors"].values()),
                **{name: report[name] for name in ("p50_us", "p90_us", "p99_us", "p999_us")}}

    @staticmethod
    def clock(pid):
        try:
            return cpu_clock_ns(pid)
        except OSError:
            return 0

    @staticmethod
    def memory(proxy):
        """PSS of each process, KiB; the one that worked most is the worker."""
        pids = proxy.pids()
        by_pid = {pid: pss_kib(pid) for pid in pids}
        return sum(by_pid.values()), by_pid[max(pids, key=cpu_clock_ns)]

    def rounds(self):
        return range(self.options.rounds)

    @staticmethod
    def turned(some, by):
        """Another one begins in each round: no one always follows the same one."""
        return some[by % len(some):] + some[:by % len(some)] if some else some

    # -- ways to measure --

    def compare(self, row):
        with self.running(row) as started:
            result = {proxy.name: [] for proxy in started}
            for n in self.rounds():
                for proxy in self.turned(started, n):
                    result[proxy.name].append(self.sample(proxy, row.load))
                    proxy.empty_log()
            for proxy in started:
                if proxy.service.log or proxy.service.chain:
                    result[proxy.name][-1]["errors"] += self.not_logged(proxy, row.load)
            return result

    def not_logged(self, proxy, arguments):
        """Who writes no line for an answer has it cheap: how many are missing after one more run."""
        proxy.logged(1 << 62, 1.5)                             # what came late from the rounds
        proxy.empty_log()
        answers = sum(self.load(proxy, arguments)["statuses"].values())
        missing = answers - proxy.logged(answers)
        if missing > 0:
            self.trouble(f"{proxy.name}: {missing} of {answers} answers are not in its access log")
        return max(0, missing)

    def routes(self, row):
        """The same requests to one route and to 10 000: what the second costs more, round by round."""
        with self.running(row) as one, self.running(row, routes=MANY) as many:
            pairs = [(a, b) for a in one for b in many if a.name == b.name]
            result = {a.name: [] for a, _ in pairs}
            for n in self.rounds():
                for a, b in self.turned(pairs, n):
                    first, second = (a, b) if n % 2 else (b, a)
                    samples = {proxy: self.sample(proxy, row.load) for proxy in (first, second)}
                    result[a.name].append({
                        "cpu_us": samples[b]["cpu_us"] - samples[a]["cpu_us"],
                        "pss_mib": (self.memory(b)[0] - self.memory(a)[0]) / 1024,
                        "foreign": max(samples[a]["foreign"], samples[b]["foreign"]),
                        "errors": samples[a]["errors"] + samples[b]["errors"]})
            return result

    def idle(self, row):
        """Memory of all processes before and after connections come that asked once and then are silent."""
        count = min(MANY, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1500)
        if count < MANY:
            self.trouble(f"only {count} idle connections: the limit of open files is low")
        result = {}
        with self.running(row, connections=count + 1000) as started:
            for proxy in started:
                self.load(proxy, [])                           # what any work needs is there
                before, _ = self.memory(proxy)
                holder = self.stage.start("idle", [self.tools["load"], "--port", str(proxy.port), "--idle",
                                                   "--connections", str(count)], self.stage.load_core,
                                          stdout=-1, stdin=-1)
                try:
                    if holder.process.stdout.readline().strip() != b"ready":
                        raise Failed(f"{proxy.name}: {holder.last_words()}")
                    after, _ = self.memory(proxy)
                    printed, _ = holder.process.communicate(timeout=30)
                    closed = sum(json.loads(printed.splitlines()[-1])["errors"].values())
                    if closed:
                        self.trouble(f"{proxy.name}: {closed} of {count} idle connections were closed")
                finally:
                    holder.stop()
                result[proxy.name] = [{"idle_kib": (after - before) / count, "errors": closed}]
        return result

    def memory_after(self, row):
        """The worker after each kind of load that has something to keep: many requests, large bodies both ways."""
        result = {}
        with self.running(row) as started:
            for proxy in started:
                for name in ("plain", "upload", "large", "plain"):
                    self.load(proxy, ROWS[name].load)
                everything, worker = self.memory(proxy)
                result[proxy.name] = [{"worker_mib": worker / 1024, "all_mib": everything / 1024, "errors": 0}]
        return result

    def calls(self, row):
        """System calls of all processes of the proxy while it answers, by the kernel's own counter."""
        perf = shutil.which("perf")
        strace = shutil.which("strace")
        if not perf and not strace:
            raise Failed("neither perf nor strace is here to count system calls")
        result = {}
        with self.running(row) as started:
            for proxy in started:
                self.load(proxy, row.load)
                count = self.count_by_perf if perf else self.count_by_strace
                result[proxy.name] = [{"calls": count(proxy, row.load), "errors": 0}]
        return result

    def count_by_perf(self, proxy, arguments):
        counted = self.stage.path("perf")
        report = self.load(proxy, arguments, before=(
            "perf", "stat", "-x,", "-o", counted, "-e", "raw_syscalls:sys_enter",
            "-p", ",".join(map(str, proxy.pids())), "--"))
        with open(counted, encoding="utf-8") as f:
            lines = [line for line in f if "raw_syscalls" in line]
        if not lines or not lines[0].split(",")[0].isdigit():
            raise Failed(f"perf counts no system calls here: {lines}")
        return int(lines[0].split(",")[0]) / sum(report["statuses"].values())

    def count_by_strace(self, proxy, arguments):
        """Slows the proxy down a lot, which makes its turns fuller: epoll_wait is counted too small."""
        counted = self.stage.path("strace")
        tracer = self.stage.start("tracer", ["strace", "-c", "-f", "-o", counted] + [
            word for pid in proxy.pids() for word in ("-p", str(pid))], self.stage.proxy_core)
        try:
            report = self.load(proxy, arguments)
        finally:
            tracer.stop()
        with open(counted, encoding="utf-8") as f:
            total = [line.split() for line in f if line.rstrip().endswith("total")]
        if not total:
            raise Failed("strace counted nothing")
        return int(total[0][3 if len(total[0]) > 4 else 2]) / sum(report["statuses"].values())

    def decisions(self, _row):
        """No proxy at work: micro_limits asks the arithmetic itself. Of the algorithms of one word the slowest."""
        printed = self.stage.run("micro_limits", [self.tools["micro_limits"]], set(self.stage.cores), 120)
        head, *lines = printed.splitlines()
        columns = head.split(")", 1)[1].split()
        figures = {words[0]: dict(zip(columns, map(float, words[1:])))
                   for words in map(str.split, lines) if len(words) == len(columns) + 1}
        for line in (head, *lines[:len(figures)]):
            self.say(f"  {line}")
        one_word = [f for name, f in figures.items() if name != "sliding_log"]
        first = figures["token_bucket"]
        worst = {f"{column}_ns": max(f[column] for f in one_word) for column in columns}
        return {"sluice": [worst | {"errors": 0, "spread": max(f[c] / first[c] for f in one_word for c in columns)}]}

    def run(self, row):
        return getattr(self, {"memory": "memory_after"}.get(row.measure, row.measure))(row)

    # -- other people's load generators, as a cross-check --

    def cross_check(self):
        """CPU per request under wrk, ab and hey: do they see what ours sees?"""
        commands = {
            "wrk": lambda url: (["wrk", "-t1", "-c64", "-d2s", url], r"(\d+) requests in"),
            "ab": lambda url: (["ab", "-q", "-k", "-c64", "-n60000", url], r"Complete requests:\s+(\d+)"),
            "hey": lambda url: (["hey", "-c", "64", "-n", "40000", "-cpus", "1", url], r"\[200\]\s+(\d+) responses"),
        }
        result = {}
        with self.running(ROWS["plain"]) as started:
            for tool, command in commands.items():
                if not shutil.which(tool):
                    self.say(f"  {tool} is not installed")
                    continue
                for proxy in started:
                    if tool == "ab" and proxy.name == "relay":
                        continue                   # ab speaks HTTP/1.0, and the origin is no match for that
                    try:
                        by_proxy = result.setdefault(tool, {})
                        by_proxy[proxy.name] = self.by_other(proxy, *command(f"http://127.0.0.1:{proxy.port}/1k"))
                    except Failed as problem:
                        self.trouble(f"{tool}, {proxy.name}: {problem}")
        return result

    def by_other(self, proxy, argv, pattern):
        pids = proxy.pids()
        before, begun = sum(map(cpu_clock_ns, pids)), time.monotonic()
        printed = self.stage.run("other", argv, self.stage.load_core, 60)
        seconds, used = time.monotonic() - begun, sum(map(cpu_clock_ns, pids)) - before
        found = re.search(pattern, printed)
        if not found:
            raise Failed(f"{argv[0]} says nothing that we understand: {printed[-300:]}")
        return {"cpu_us": used / int(found[1]) / 1e3, "rps": int(found[1]) / seconds}


QUIET, ENOUGH = 0.10, 3          # share of the machine that others may use; rounds that suffice


def quiet(result):
    """The rounds in which nobody else used much of the machine; all of them, if such were too few."""
    rounds = list(zip(*result.values()))
    calm = [r for r in rounds if all(sample.get("foreign", 0) < QUIET for sample in r)]
    kept = calm if len(calm) >= ENOUGH else rounds
    return {name: [r[i] for r in kept] for i, name in enumerate(result)}


def median_of(result, name, metric):
    values = [sample[metric] for sample in quiet(result).get(name, []) if metric in sample]
    return statistics.median(values) if values else None


def judge(goal, result):
    """(value, reached) of a goal for Sluice, or None when one of the two was not measured."""
    calm = quiet(result)
    mine = [sample[goal.metric] for sample in calm.get("sluice", [])]
    if not mine:
        return None
    if goal.beside:
        theirs = [sample[goal.metric] for sample in calm.get(goal.beside, [])]
        if not theirs:
            return None
        value = statistics.median(a / b for a, b in zip(mine, theirs) if b)
    else:
        value = statistics.median(mine)
    good = value >= goal.limit if goal.least else value <= goal.limit
    return value, good and not any(sample["errors"] for sample in result["sluice"])
