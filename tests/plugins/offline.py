"""No test reaches the network: connecting or resolving anything but this machine raises.

The guard stands from the moment pytest is configured, so that imports during
collection are under it too. Unix sockets and loopback addresses are free.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

# Before any test module imports a hub client: they read these once.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

GUARDED_METHODS = ("connect", "connect_ex", "sendto")
INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine. Not an OSError: those are caught and retried."""


def is_loopback(host: object) -> bool:
    """True for localhost, 127.0.0.0/8, ::1 and the empty host of a server that listens."""
    if host is None or host in ("", b"", "localhost", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse(host: object) -> None:
    if not is_loopback(host):
        raise NetworkBlockedError(f"tests may not reach {host!r}; only loopback and unix sockets are open")


def _guarded_method(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: socket.socket, *args: Any) -> Any:
        if self.family in INTERNET:
            _refuse(args[-1][0])  # the address is the last argument of all three
        return original(self, *args)

    return call


def _guarded_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse(host)
        return original(host, *args, **kwargs)

    return call


def pytest_configure(config: pytest.Config) -> None:
    """Put the guard up, and take it down when pytest ends."""
    patch = pytest.MonkeyPatch()
    for name in GUARDED_METHODS:
        patch.setattr(socket.socket, name, _guarded_method(getattr(socket.socket, name)))
    patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
    config.add_cleanup(patch.undo)
