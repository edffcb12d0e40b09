"""Where an answer comes from, and whether that source may be shown."""
