"""What holds for every test of the repository, the integrations' included."""

from __future__ import annotations

pytest_plugins = ["tests.plugins.offline", "tests.plugins.skips"]
