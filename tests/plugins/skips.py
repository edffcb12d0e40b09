"""A test that does not run proves nothing: each skip or xfail must be allowed by name.

`tests/allowed_skips.txt` holds one test a line, as pytest names it, and after
` # ` the reason. A trailing `*` stands for any ending. Whatever else is skipped,
or expected to fail, fails the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

ALLOW_LIST = Path(__file__).resolve().parents[1] / "allowed_skips.txt"


def read_allow_list(path: Path = ALLOW_LIST) -> list[str]:
    """The test names of the list; an entry without a reason is an error."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    entries = [line.partition(" # ") for line in lines if line and not line.startswith("#")]
    for name, _, reason in entries:
        if not reason.strip():
            raise pytest.UsageError(f"{path.name}: {name!r} gives no reason after ' # '")
    return [name.strip() for name, _, _ in entries]


def is_allowed(nodeid: str, allowed: Sequence[str]) -> bool:
    """True when an entry is the test's name, or its beginning followed by `*`."""
    return any(nodeid == name or (name.endswith("*") and nodeid.startswith(name[:-1])) for name in allowed)


class SkipWatch:
    """Collects what was not run and fails the session for what is not on the list."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = allowed
        self.offences: dict[str, str] = {}

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if is_allowed(report.nodeid, self.allowed):
            return
        if hasattr(report, "wasxfail"):
            self.offences[report.nodeid] = f"xfail {report.wasxfail}".strip()
        elif report.skipped:
            where = report.longrepr
            self.offences[report.nodeid] = str(where[-1] if isinstance(where, tuple) else where)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    @pytest.hookimpl(trylast=True)  # some plugins or their own status to it
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.offences and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.offences:
            return
        terminalreporter.section(f"not run, and not in {ALLOW_LIST.name}", red=True, bold=True)
        for nodeid, why in sorted(self.offences.items()):
            terminalreporter.write_line(f"{nodeid}: {why}")


def pytest_configure(config: pytest.Config) -> None:
    """Watch every session, in every folder."""
    config.pluginmanager.register(SkipWatch(read_allow_list()), "ragguard-skip-watch")
