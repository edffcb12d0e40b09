"""Conformal retrieval and the guarantees around it: numpy and scipy.special, no models."""
