"""What a process has and uses: its limits, its descriptors, its time on a CPU."""
import os
import resource
import time

from . import process

SPIN = 0.25                     # seconds of CPU in a second that would be a spin; what idles uses a hundredth


def cpu_ns(pid):
    """Time on a CPU so far, finer than the ticks of /proc/PID/stat."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0])


def assert_no_spin(*pids, seconds=1):
    before = {pid: cpu_ns(pid) for pid in pids}
    time.sleep(seconds)                    # a second of doing nothing is what is measured
    used = {process.title(pid): (cpu_ns(pid) - before[pid]) / 1e9 for pid in pids}
    assert all(s < SPIN * seconds for s in used.values()), used


def limit(pid, kind, soft):
    """The soft limit of a living process; returns what it was."""
    was = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, was[1]))
    return was


def few_descriptors(pid, more):
    """From now on this process may open `more` descriptors and not one beyond."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(len(used) + more + 1) if number not in used]
    limit(pid, resource.RLIMIT_NOFILE, free[more])       # the limit is of the number, not of how many there are


def settled(pid):
    """It has opened and closed nothing for a while."""
    before = os.listdir(f"/proc/{pid}/fd")
    return all(os.listdir(f"/proc/{pid}/fd") == before for _ in range(5) if time.sleep(0.02) is None)


def unlimited(pid, kind=resource.RLIMIT_NOFILE):
    hard = resource.prlimit(pid, kind)[1]
    resource.prlimit(pid, kind, (hard, hard))
