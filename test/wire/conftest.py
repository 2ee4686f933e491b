"""Fixtures of the wire tests; the stage itself is in stage/."""
import os
import signal

import pytest

from stage.gateway import binary
from stage.play import Stage

TEST_SECONDS = 60          # a test that hangs is a failure, not a long evening
SLOW_SECONDS = 300


def pytest_collection_modifyitems(config, items):
    if not os.access(binary(), os.X_OK) and not os.environ.get("STANDIN"):
        raise pytest.UsageError(f"no gateway at {binary()}: `make debug`, or say SLUICE=path")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    def too_long(*_):
        raise AssertionError(f"the test took longer than {seconds} s")

    seconds = SLOW_SECONDS if item.get_closest_marker("slow") else TEST_SECONDS
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        stage = item.funcargs.get("stage") or item.funcargs.get("shared")
        for number, gateway in enumerate(stage.gateways if stage else []):
            report.sections.append((f"stderr of gateway {number}", gateway.stderr()[-4000:]))
            report.sections.append((f"access log of gateway {number}", str(gateway.records_tail())))


def leave(stage):
    problems = stage.problems()
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    try:
        leave(stage)
    finally:
        stage.strike()


@pytest.fixture(scope="module")
def shared():
    """A stage for a whole module: for tables of many short cases against one gateway."""
    stage = Stage()
    yield stage
    try:
        leave(stage)
    finally:
        stage.strike()
