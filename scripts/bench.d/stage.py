"""Processes and places of a benchmark: who runs on which core, and that nothing is left behind.

A guard, forked first, holds one end of a pipe whose other end only we hold. However we end, kill -9
included, the guard then ends what we started and removes our directory.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
READY_SECONDS = 30


class Failed(Exception):
    """A part of the benchmark cannot be run; the text says why."""


def cpu_clock_ns(pid):
    """CPU time of a whole process to the nanosecond (what clock_getcpuclockid() would name)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def descendants(pid):
    """The process and all below it, parents first."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as f:
                    found += [int(child) for child in f.read().split()]
        except OSError:
            continue
    return found


def pss_kib(pid):
    """Memory of a process, what it shares with others counted by its share."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise Failed(f"no Pss in /proc/{pid}/smaps_rollup")


def busy_ns():
    """What all CPUs of the machine did since boot, idle and waiting for disks left out."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, f.readline().split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


class Child:
    """A process of ours, with all that it starts itself."""

    def __init__(self, stage, process, log_path):
        self.stage, self.process, self.log_path = stage, process, log_path

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        return descendants(self.pid)

    def last_words(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-5:]).strip()
        except OSError:
            return ""

    def wait_for_port(self, port):
        """Until someone listens. Dies with the process's own words if it ends instead."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"{self.process.args[0]} ended ({self.process.returncode}): {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)                       # a listening socket is no event that we could wait for
        raise Failed(f"{self.process.args[0]} does not listen: {self.last_words()}")

    def stop(self):
        family = self.pids()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                pass
        for pid in family:
            try:
                if os.getpgid(pid) == self.pid:        # still the one of our session, not a new owner of the number
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()
        self.stage.forget(self)


class Stage:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="sluice-bench-")
        os.chmod(self.directory, 0o755)
        self.children = []
        self.ports = iter(range(20000 + os.getpid() % 5000, 32000))
        self.guard_pipe = self._start_guard()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        cores = sorted(os.sched_getaffinity(0))
        self.cores = cores[:2] if len(cores) > 1 else cores * 2
        self.load_core, self.proxy_core = {self.cores[0]}, {self.cores[1]}

    def _start_guard(self):
        reading, writing = os.pipe()
        if os.fork() > 0:
            os.close(reading)
            return os.fdopen(writing, "w", buffering=1, encoding="ascii")
        os.setsid()
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.SIG_IGN)
        os.close(writing)
        for fd in (0, 1, 2):
            os.close(fd)
        groups = set()
        with os.fdopen(reading, encoding="ascii") as notes:
            for note in notes:
                (groups.add if note[0] == "+" else groups.discard)(int(note[1:]))
        for group in groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(self.directory, ignore_errors=True)
        os._exit(0)

    def port(self):
        """A port where nobody listens, below those that the kernel gives to connections."""
        for port in self.ports:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise Failed("no free port")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def start(self, name, argv, cores, stdout=None, **more):
        """Start argv on these cores. Its words go to a log; its standard output to `stdout` if given."""
        log_path = self.path(f"{name}.log")
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
        with open(log_path, "ab") as log:
            process = subprocess.Popen(argv, stdout=stdout if stdout is not None else log, stderr=log,
                                       start_new_session=True, env=environment, cwd=self.directory,
                                       preexec_fn=lambda: os.sched_setaffinity(0, cores),
                                       **({"stdin": subprocess.DEVNULL} | more))
        self.guard_pipe.write(f"+{process.pid}\n")
        child = Child(self, process, log_path)
        self.children.append(child)
        return child

    def run(self, name, argv, cores, seconds):
        """Start argv, wait for its end, and return what it printed."""
        child = self.start(name, argv, cores, stdout=subprocess.PIPE)
        try:
            printed, _ = child.process.communicate(timeout=seconds)
            if child.process.returncode != 0:
                raise Failed(f"{name}: {child.last_words()}")
            return printed.decode()
        except subprocess.TimeoutExpired:
            raise Failed(f"{name}: no end after {seconds} s") from None
        finally:
            if child.process.stdout:
                child.process.stdout.close()
            child.stop()
            os.unlink(child.log_path)

    def forget(self, child):
        self.children.remove(child)
        self.guard_pipe.write(f"-{child.pid}\n")

    def close(self):
        for child in reversed(self.children[:]):
            child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.guard_pipe.close()
