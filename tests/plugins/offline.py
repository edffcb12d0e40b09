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


ORIGINALS = {name: getattr(socket.socket, name) for name in GUARDED_METHODS}
GUARDED = {name: _guarded_method(original) for name, original in ORIGINALS.items()}
LOOKUP = socket.getaddrinfo
GUARDED_LOOKUP = _guarded_lookup(LOOKUP)


def put_up() -> None:
    """Guard every socket from here on."""
    for name, method in GUARDED.items():
        setattr(socket.socket, name, method)
    socket.getaddrinfo = GUARDED_LOOKUP


def take_down() -> None:
    """Leave the socket module as it was found."""
    for name, method in ORIGINALS.items():
        setattr(socket.socket, name, method)
    socket.getaddrinfo = LOOKUP


def pytest_configure(config: pytest.Config) -> None:
    """Guard the collection too: modules are imported then."""
    put_up()
    config.add_cleanup(take_down)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Put the guard up again: pytest-socket, where installed, undoes it after each test."""
    put_up()
