"""Before any test module imports LiteLLM: it reads this once, and would fetch a price list."""

from __future__ import annotations

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
