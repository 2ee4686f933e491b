"""Ports that nobody takes by accident."""
import random
import socket


def free_port():
    """A port below the ephemeral range, so that no outgoing connection can sit on it when its owner is
    away for a moment (or, worse, connect to itself)."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
