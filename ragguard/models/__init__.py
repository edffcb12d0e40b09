"""Embedders, cross-encoders and the back ends they run on."""
