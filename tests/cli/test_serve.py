from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ragguard.cli.serve import NoEvidence, Refusals, StreamMode, served_app, served_guard
from tests.cli.running import command
from tests.server.served import FALSE, PATH, RETURNS, TRUE, response


def free_port() -> int:
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_serving_others_without_a_key_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAGGUARD_API_KEY", raising=False)
    done = command("serve", "--host", host)
    assert done.code == 2
    assert "RAGGUARD_API_KEY" in done.err


def test_settings_that_contradict_are_refused_before_anything_is_served() -> None:
    assert command("serve", "--mode", "sentence", "--refusals", "block").code == 2
    assert command("serve", "--no-evidence", "retrieve").code == 2
    assert command("serve", "--port", "0").code == 2


@pytest.mark.parametrize("nemo", [False, True])
async def test_the_other_route_is_there_where_it_is_asked_for(nemo: bool) -> None:
    app = served_app(
        served_guard(None, None),
        key="k",
        no_evidence=NoEvidence.block,
        mode=StreamMode.withhold,
        refusals=Refusals.text,
        nemo=nemo,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        scored = await http.post("/alignscore_base", json={"evidence": "", "claim": TRUE})
        judged = await http.post(PATH, json=response("I don't know."), headers={"x-api-key": "k"})
        closed = await http.post(PATH, json=response(TRUE))
    assert scored.status_code == (200 if nemo else 404)
    assert judged.json()["action"] == "GUARDRAIL_INTERVENED"
    assert closed.status_code == 401


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_serves_until_it_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from ragguard.cli import main; main()",
            "serve",
            "--nemo",
            "--port",
            str(port),
        ],
        env={**os.environ, "RAGGUARD_API_KEY": "k"},
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, headers={"x-api-key": "k"}, timeout=120) as http:
            while not alive(http):
                assert process.poll() is None
                time.sleep(0.2)
            assert http.post(PATH, json=response(TRUE)).json()["action"] == "NONE"
            assert http.post(PATH, json=response(FALSE)).json()["action"] == "BLOCKED"
            scored = http.post("/alignscore_large", json={"evidence": RETURNS, "claim": FALSE}).json()
            assert scored["alignscore"] < 0.5
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said


def alive(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
