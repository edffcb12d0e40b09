"""Nodes for LangGraph: a gate behind retrieval, a judge of answers, a person who decides.

Each factory returns a node for `StateGraph.add_node`. Where it may go next is part of the
node, and drawn. State is read and written under configurable `Keys`; what is written is
JSON, or in the form it was read, so that any checkpointer keeps it.
"""

from langchain_ragguard.graph_gate import retrieval_gate_node
from langchain_ragguard.graph_node import Node
from langchain_ragguard.graph_review import human_review_node
from langchain_ragguard.graph_state import Keys
from langchain_ragguard.graph_verify import FEEDBACK, verify_node
from langchain_ragguard.muting import muted

__all__ = ["FEEDBACK", "Keys", "Node", "human_review_node", "muted", "retrieval_gate_node", "verify_node"]
