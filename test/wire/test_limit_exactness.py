"""However many workers there are and however many clients come at once: admitted is what the arithmetic says."""
import re
import subprocess
import time

import pytest

ALGORITHMS = ["token_bucket", "leaky_bucket", "fixed_window", "sliding_window", "sliding_log", "gcra"]


def limited(stage, limit, workers):
    s = stage.service()
    gw = stage.proxy(s, workers=workers, service={"middleware": ["rate_limit"], "name": "u"}, middleware_config={"rate_limit": limit})
    gw.service = s
    return gw


def hey(gw, *arguments):
    """Counts by status of a run of hey."""
    done = subprocess.run(["hey", *arguments, f"http://127.0.0.1:{gw.port}/"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)
    assert done.returncode == 0 and "Error distribution" not in done.stdout, done.stdout
    return {int(status): int(count) for status, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", done.stdout)}


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_burst_is_given_once_and_not_to_each_worker(stage, algorithm, workers):
    gw = limited(stage, {"rate": "100/d", "burst": 100, "algorithm": algorithm}, workers)
    assert hey(gw, "-n", "600", "-c", "24") == {200: 100, 429: 500}
    assert gw.service.seen == 100


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_rate_is_that_of_all_workers_together(stage, workers):
    """Far more is offered than 500 a second, and the bucket is never full again."""
    gw = limited(stage, {"rate": "500/s", "burst": 1000}, workers)
    begun = time.monotonic()
    counts = hey(gw, "-z", "2s", "-c", "16")
    took = time.monotonic() - begun
    assert counts[200] <= 1000 + 500 * took
    lines = gw.wait_records(sum(counts.values()))
    # from the first on it was never full, until the last refusal it was empty: then all that was due was taken
    stamps = [line["ts"] for line in lines]
    last = max(line["ts"] for line in lines if line["status"] == 429)
    due = 1000 + 500 * (seconds(last) - seconds(min(stamps)))
    taken = sum(line["status"] == 200 and line["ts"] <= last for line in lines)
    assert due * 0.98 <= taken <= counts[200], (due, taken)


def seconds(stamp):
    """Of the day: 2026-11-21T17:32:18.318Z"""
    hours, minutes, rest = stamp.rstrip("Z").split("T")[1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)
