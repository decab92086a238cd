"""Guided decoding for many at once: the engine, without any network."""
