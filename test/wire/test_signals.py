"""SIGUSR1 opens the log files again, for those who move them away."""
import os
import signal

from stage import process
from stage.gateway import wait_until
from stage.load import Load, ordinary


def moved(gw):
    os.rename(gw.access_log, gw.access_log + ".1")
    gw.signal(signal.SIGUSR1)


def test_usr1_opens_the_access_log_again(stage):
    gw = stage.proxy(stage.service())
    gw.get("/before")
    gw.wait_records()
    moved(gw)
    wait_until(lambda: os.path.exists(gw.access_log))
    gw.get("/after")
    gw.wait_records(lambda lines: any(line["path"] == "/after" for line in lines) or
                    any(line["path"] == "/after" for line in gw.records(gw.access_log + ".1")))
    gw.get("/last")
    gw.wait_records(lambda lines: any(line["path"] == "/last" for line in lines))


def test_no_line_is_lost_or_torn_when_logs_are_opened_again_under_load(stage):
    gw = stage.proxy(stage.service(answers=ordinary), path="/u")
    with Load(gw, keep=3) as load:
        for turn in range(5):
            os.rename(gw.access_log, f"{gw.access_log}.{turn}")
            gw.signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(gw.access_log))
            load.wait_more(30)
    assert not load.failures
    assert gw.stop() == 0
    lines = gw.records()
    for turn in range(5):
        lines += gw.records(f"{gw.access_log}.{turn}")
    assert len(lines) == load.done


def test_usr1_does_not_leak_descriptors(stage):
    gw = stage.proxy(stage.service(), path="/u")

    def used():
        return [process.descriptors(pid) for pid in [gw.pid, *gw.family()]]

    def again():
        os.unlink(gw.access_log)
        gw.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(gw.access_log))
        assert gw.get("/nowhere").status == 404           # no service: no link to one is opened
        gw.wait_records(1)

    again()
    before = used()
    for _ in range(5):
        again()
    wait_until(lambda: used() == before, explain=lambda: (before, used()))


def test_a_log_that_cannot_be_opened_again_keeps_the_old_one(stage):
    directory = stage.new_dir()
    inner = os.path.join(directory, "logs")
    os.mkdir(inner)
    os.chmod(inner, 0o777)
    path = os.path.join(inner, "access.log")
    gw = stage.proxy(stage.service(), logging={"access": [{"to": "file:" + path}]})
    gw.get("/one")
    gw.wait_records(1, path=path)
    os.rename(inner, inner + ".away")
    gw.signal(signal.SIGUSR1)
    gw.wait_stderr("access.log")
    gw.get("/two")
    gw.wait_records(2, path=os.path.join(inner + ".away", "access.log"))


def test_titles_tell_the_processes_apart(stage):
    gw = stage.proxy(stage.service(), workers=2)
    titles = [process.title(pid) for pid in gw.family()]
    assert len(gw.workers()) == 2 and gw.caretaker() and len(set(titles)) == 3, titles
    assert "master" in process.title(gw.pid)
