"""For tests and examples: embeddings without a model, and contract suites for guards of one's own.

`langchain_ragguard.testing.surfaces` records everything that a caller can see of a run, to
look for what should have been withheld; `middleware_suite` and `compressor_suite` hold
what is expected of a middleware and of a compressor. They are imported by name: the
suites need pytest, and the middleware's needs `langchain`.
"""

from langchain_ragguard.testing.embeddings import HashEmbeddings

__all__ = ["HashEmbeddings"]
