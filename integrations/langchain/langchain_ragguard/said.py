"""What a guard in this process has said of a message, told from what anybody may have written there."""

from __future__ import annotations

from typing import Any


class Said(dict[str, Any]):
    """The small report beside a message, as the guard that judged it wrote it.

    A plain dict to whoever reads or stores it. What a model's server sends, or a checkpoint
    gives back, is no `Said`: an inner guard is believed, a message that claims one is judged.
    """
