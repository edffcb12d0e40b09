"""Reranking by what makes a reader answer correctly."""
