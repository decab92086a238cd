"""Types, errors and numerics that every room may use."""

# Nothing is imported here: `core.errors` must stay free of jax, because rooms
# that only handle strings (and their worker processes) import it.
__all__ = ["arrays", "errors", "numerics", "seeds"]
