from __future__ import annotations

import os
import socket
import urllib.request

import pytest

from tests.plugins.offline import NetworkBlockedError, is_loopback

ELSEWHERE = ("192.0.2.1", 80)  # TEST-NET-1, routed nowhere


def test_connecting_elsewhere_raises() -> None:
    with socket.socket() as client, pytest.raises(NetworkBlockedError):
        client.connect(ELSEWHERE)


def test_connect_ex_and_sendto_are_closed_too() -> None:
    with socket.socket() as client, pytest.raises(NetworkBlockedError):
        client.connect_ex(ELSEWHERE)
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(NetworkBlockedError):
        client.sendto(b"x", ELSEWHERE)


def test_resolving_a_name_elsewhere_raises() -> None:
    with pytest.raises(NetworkBlockedError):
        urllib.request.urlopen("http://example.org/", timeout=1)


def test_loopback_and_unix_sockets_are_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5) as client:
            assert client.getpeername()[0] == "127.0.0.1"
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"hello")
        assert right.recv(5) == b"hello"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_decided_by_the_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_hub_clients_are_told_to_stay_offline() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
