"""Benchmarks: each is a script that prints one JSON document; see README.md."""
