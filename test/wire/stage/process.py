"""What /proc and the kernel say about processes; nothing is polled that can be waited for."""
import ctypes
import os
import select
import signal
import socket
import time

from . import names


LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


def die_with_us():
    """In a child, before it becomes a server: however these tests end, it does not outlive them."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Notify:
    """The other end of sd_notify(3): a datagram socket that hears READY, RELOADING, STOPPING."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o777)
        self.said = []

    def wait(self, line, seconds, pidfd=None):
        """Wait until `line` is said; False when the process behind pidfd ends before it, or in time."""
        deadline = time.monotonic() + seconds
        watched = [self.sock] + ([pidfd] if pidfd is not None else [])
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select(watched, [], [], left)
            if self.sock in readable:
                lines = self.sock.recv(4096).decode().split("\n")
                self.said += lines
                if line in lines:
                    return True
            elif readable:
                return False
        return False

    def heard(self):
        """Everything said so far, without waiting."""
        while select.select([self.sock], [], [], 0)[0]:
            self.said += self.sock.recv(4096).decode().split("\n")
        return self.said

    def close(self):
        self.sock.close()


def wait_end(pidfd, seconds):
    return bool(select.select([pidfd], [], [], seconds)[0])


def wait_pid_end(pid, seconds=10):
    """Wait until a process that is not our child is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return wait_end(pidfd, seconds)
    finally:
        os.close(pidfd)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid):
    """Running: neither gone nor a zombie that nobody has taken yet."""
    return state(pid) not in ("", "Z", "X")


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def in_session(session):
    """Living processes of a session: what a gateway must not leave behind."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    words = file.read().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(words[3]) == session and words[0] not in "ZX":
                found.append(int(entry))
    return found


def rss(pid):
    """Resident bytes that are the process's own (no shared mappings, no files)."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def clients_of(pid, port):
    """The ports of the clients whose connections to `port` this process holds."""
    mine = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            mine.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            pass
    found = set()
    with open(f"/proc/{pid}/net/tcp") as file:
        for line in list(file)[1:]:
            words = line.split()
            if int(words[1].split(":")[1], 16) == port and f"socket:[{words[9]}]" in mine:
                found.add(int(words[2].split(":")[1], 16))
    return found - {0}                          # 0: the listening socket itself


def cpu_seconds(pid):
    """User and system time used so far."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def is_worker(pid):
    return names.TITLE_WORKER in title(pid)


def is_caretaker(pid):
    return names.TITLE_CARETAKER in title(pid)


def kill_session(session):
    for pid in in_session(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
