"""Whether an answer says only what the passages support."""
