"""nginx in the gateway's place, to try the stage itself and to see what another gateway does.

    STANDIN=nginx /usr/bin/python3 -m pytest test/wire/test_proxy.py
Only plain services are translated; tests of anything else fail, as they should.
"""
import os
import socket
import time

from . import gateway as real


class StandIn(real.Gateway):
    def write_text(self, text):
        super().write_text(text)
        services = (self.config or {}).get("services", [])
        blocks, pools = [], []
        for number, service in enumerate(services):
            servers = "".join(f"server {url.split('://')[1]} max_fails=0;" for url in service["urls"])
            pools.append(f"upstream p{number} {{ {servers} keepalive 16; }}")
            pattern = service["route_pattern"]
            blocks.append(f"location {pattern} {{ proxy_pass http://p{number}; proxy_http_version 1.1; "
                          'proxy_set_header Host $http_host; proxy_set_header Connection ""; }')
        with open(os.path.join(self.dir, "nginx.conf"), "w") as file:
            file.write(f"""daemon off; worker_processes {self.config['process']['workers']}; pid {self.dir}/pid;
error_log {self.dir}/stderr; user root;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p;
fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s; client_max_body_size 0;
proxy_request_buffering off; proxy_max_temp_file_size 0;
{' '.join(pools)} server {{ listen 127.0.0.1:{self.port}; {' '.join(blocks)} }} }}""")

    def _start(self, environment, arguments):
        os.environ["SLUICE"] = "/usr/sbin/nginx"
        super()._start(environment, ["-c", os.path.join(self.dir, "nginx.conf"), "-p", self.dir])

    def _await_ready(self):
        deadline = time.monotonic() + 5
        while True:
            try:
                socket.create_connection(self.address, 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, self.stderr()
