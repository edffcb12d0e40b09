"""What holds for every test of the repository, the integrations' included."""

from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ["tests.plugins.brief", "tests.plugins.offline", "tests.plugins.skips"]

# The same examples on every run and machine, and no time limit on a noisy one;
# HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
