"""Which keys a family is said to look at."""

from qsharp_jax.checkpoint import family
from qsharp_jax.checkpoint.rotary_keys import RotaryKeys


def test_every_table_of_a_family_makes_keys_known():
  own = family.Family(
    "OursForCausalLM",
    "OursForSequenceClassification",
    keys={"width": "size"},
    defaults={"depth": 3},
    only={"causal": True},
    off=("sparse",),
    twins={"breadth": "size"},
    ignored=("note",),
    rotary=None,
  )
  named = {"size", "depth", "causal", "sparse", "breadth", "note"}
  assert own.known() == named


def test_keys_of_the_rotary_embedding_are_those_of_the_family():
  keys = RotaryKeys(theta="base", fraction="share", local="near")
  own = family.Family("A", "B", keys={}, defaults={}, rotary=keys)
  assert own.known() == {
    "base",
    "share",
    "near",
    "rope_scaling",
    "rope_parameters",
    "original_max_position_embeddings",
  }
