"""A real redis-server on a free port: started, stopped, paused, slowed, emptied, asked."""
import os
import signal
import socket
import subprocess
import time

from . import process
from .ports import free_port

START_SECONDS = 20


class RedisError(Exception):
    pass


class Connection:
    """Commands and answers, one after the other."""

    def __init__(self, port, seconds=10):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        return None if rest == b"-1" else [self.answer() for _ in range(int(rest))]

    def close(self):
        self.file.close()
        self.socket.close()


class Redis:
    """`port` stays the same over stop() and start(); nothing is written to a disk, so what it knew is lost then."""

    def __init__(self, directory, *arguments, port=None):
        self.dir, self.arguments = directory, arguments
        self.port = port or free_port()
        self.process = None
        self.start()

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", self.dir, "--loglevel", "warning",
                "--repl-diskless-sync-delay", "0",        # else a replica is kept waiting for five seconds, in case others come
                *self.arguments]

    def start(self):
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=process.die_with_us)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                assert self.ask("PING") == "PONG"
                return
            except (OSError, EOFError, RedisError):
                assert self.process.poll() is None, "redis-server ended"
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.01)                          # it has no other way to say that it listens

    def ask(self, *words):
        connection = Connection(self.port)
        try:
            return connection.ask(*words)
        finally:
            connection.close()

    def info(self, section, key):
        lines = dict(line.split(":", 1) for line in self.ask("INFO", section).split("\r\n") if ":" in line)
        return lines[key]

    def calls(self, command="evalsha"):
        """How often a command has been run so far."""
        for line in self.ask("INFO", "commandstats").split("\r\n"):
            if line.startswith(f"cmdstat_{command}:"):
                return int(line.split("calls=")[1].split(",")[0])
        return 0

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.go_on()
            self.process.kill()
        self.process.wait()


class Sentinel(Redis):
    """Watches one master, quickly."""

    def __init__(self, directory, master, quorum):
        self.config = os.path.join(directory, "sentinel.conf")
        with open(self.config, "w") as file:
            file.write(f"sentinel monitor mymaster 127.0.0.1 {master.port} {quorum}\n"
                       "sentinel down-after-milliseconds mymaster 300\n"
                       "sentinel failover-timeout mymaster 2000\n")
        super().__init__(directory)

    def start(self):
        super().start()
        # It looks every second or two at everything, and every ten at what a replica says. PING-PERIOD stays: five of them is how
        # old the news of a replica may be that is to take over, and that must not depend on how busy the machine is.
        self.ask("SENTINEL", "DEBUG", "INFO-PERIOD", 100, "ASK-PERIOD", 100, "PUBLISH-PERIOD", 100)

    def command(self):
        return ["redis-server", self.config, "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir]

    def master_port(self):
        return int(self.ask("SENTINEL", "get-master-addr-by-name", "mymaster")[1])


def until(ready, what):
    """Servers agree among themselves, and tell nobody when: look again, within a deadline."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def cluster(directories, started):
    nodes = []
    for directory in directories:
        nodes.append(Redis(directory, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", str(free_port())))
        started(nodes[-1])
    for i, node in enumerate(nodes):
        node.ask("CLUSTER", "ADDSLOTSRANGE", 16384 * i // len(nodes), 16384 * (i + 1) // len(nodes) - 1)
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
    for node in nodes[1:]:
        node.ask("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].arguments[-1])
    for node in nodes:
        until(lambda: "cluster_state:ok" in node.ask("CLUSTER", "INFO") and
              f"cluster_known_nodes:{len(nodes)}" in node.ask("CLUSTER", "INFO"), "the cluster does not come together")
    return nodes
