"""The fixture's object: it makes services and gateways, and sees them off."""
import os
import shutil
import subprocess
import tempfile

from .gateway import SANITIZERS, Gateway, binary
from .redis import Redis, Sentinel, cluster
from .service import Service
from .standin import StandIn


class Stage:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-")     # short: a Unix socket's path has 107 bytes
        os.chmod(self.dir, 0o777)                         # the gateway may drop its rights
        self.services, self.gateways, self.stores = [], [], []

    def service(self, answers="ok", name=None):
        service = Service(answers, name or f"s{len(self.services) + 1}")
        self.services.append(service)
        return service

    def redis(self, *arguments):
        """A running redis-server, with these arguments besides."""
        store = Redis(self.new_dir(), *arguments)
        self.stores.append(store)
        return store

    def redis_cluster(self, nodes=3):
        """Redis servers that divide the slots of a cluster among themselves."""
        return cluster([self.new_dir() for _ in range(nodes)], self.stores.append)

    def sentinel(self, master, quorum=1):
        """A Sentinel that watches this master, by the name "mymaster"."""
        found = Sentinel(self.new_dir(), master, quorum)
        self.stores.append(found)
        return found

    def new_dir(self):
        directory = os.path.join(self.dir, str(len(os.listdir(self.dir))))
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        return directory

    def gateway(self, **config):
        """A running gateway. `services=` as in config.yaml, `workers=` for short, anything else as the file has it;
        `text=` is a whole file (@PORT@ and @DIR@ are replaced)."""
        make = StandIn if os.environ.get("STANDIN") else Gateway
        gateway = make.__new__(make)
        self.gateways.append(gateway)
        try:
            gateway.__init__(self.new_dir(), **config)
        except BaseException:
            if not hasattr(gateway, "pidfd"):
                self.gateways.remove(gateway)
            raise
        return gateway

    @staticmethod
    def route(*services, path="/u", name="u", **keys):
        """An entry of `services:` whose urls are the given services."""
        return dict(name=name, route_pattern=path, urls=[service.url for service in services], **keys)

    def proxy(self, *services, path="/", **config):
        """A gateway with one service on `path`: what most plays need."""
        entry = self.route(*services, path=path, **config.pop("service", {}))
        return self.gateway(services=[entry], **config)

    def sluice(self, *arguments, environment=None, timeout=20, cwd=None):
        """The binary as a command; returns its CompletedProcess with text."""
        directory = cwd or self.new_dir()
        env = dict(os.environ, **{name: value.format(dir=directory) for name, value in SANITIZERS.items()})
        env.pop("NOTIFY_SOCKET", None)
        env.update(environment or {})
        done = subprocess.run([binary(), *arguments], env=env, timeout=timeout, cwd=directory, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        reports = [name for name in os.listdir(directory) if name.startswith("sanitizer.")]
        assert not reports, open(os.path.join(directory, reports[0])).read()
        return done

    def problems(self):
        """Take everything down; returns what went wrong on the way."""
        problems = []
        for service in self.services:                     # first, so that nothing is in flight any more
            service.end()
            problems += service.faults
        for gateway in self.gateways:
            problems += gateway.finish()
        for store in self.stores:
            store.stop()
        return problems

    def strike(self):
        shutil.rmtree(self.dir, ignore_errors=True)
