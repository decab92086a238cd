import pytest


@pytest.fixture
def torch_and_transformers():
  """Both modules; without them the test is skipped."""
  reason = "the parity tests need torch"
  torch = pytest.importorskip("torch", reason=reason)
  return torch, pytest.importorskip("transformers", reason=reason)
