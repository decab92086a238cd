"""Which keys of a configuration are refused."""

import pytest

from qsharp_jax.checkpoint import families, harmless_keys


def test_only_what_may_change_the_maths_is_left():
  raw = {
    "hidden_size": 4,
    "use_cache": True,
    "top_k": 50,
    "_name_or_path": "x",
    "unsloth_fixed": True,
    "mup": 2.0,
    "alibi": True,
  }
  assert harmless_keys.others(raw, {"hidden_size"}) == ["alibi", "mup"]


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_a_key_that_says_nothing_is_passed_over(nothing):
  assert harmless_keys.others({"mup": nothing}, set()) == []


def test_numbers_that_are_0_say_something():
  assert harmless_keys.others({"mup": 0.5, "softcap": 30}, set()) == [
    *("mup", "softcap")
  ]


def test_no_key_is_both_harmless_and_read():
  for family in families.FAMILIES.values():
    assert not harmless_keys.HARMLESS & set(family.keys.values())
