"""Question sets through retrievers: observations, measured coverage, comparisons."""
