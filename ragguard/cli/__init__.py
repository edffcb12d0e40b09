"""The `ragguard` command; one file a subcommand."""

from ragguard.cli.app import main

__all__ = ["main"]
