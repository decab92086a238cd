"""The form of configs that others may have written."""

import importlib
import pathlib

import ml_collections
import pytest

from experiments import configs
from experiments.configs import base
from experiments.harness import form
from qsharp_jax.core.errors import InputError

FOLDER = pathlib.Path(configs.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"base"}))
def test_our_own_configs_have_it(name):
  module = importlib.import_module(f"experiments.configs.{name}")
  with pytest.raises(InputError) as error:
    module.get_config("no such variant")
  variants = str(error.value).partition("choose one of ")[2].split(", ")
  assert variants != [""]
  for variant in variants:
    config = module.get_config(variant)
    form.check_plain(config)
    form.check(config)


@pytest.mark.parametrize(
  ("name", "value", "says"),
  [
    ("rounds", 7, "rounds is 7; expected a section"),
    ("rounds.num_rounds", None, "num_rounds is None; expected a whole number"),
    ("rounds.num_rounds", True, "num_rounds is True; expected a whole number"),
    ("rounds.num_rounds", 1.5, "num_rounds is 1.5; expected a whole number"),
    ("rounds.eta", "x", "rounds.eta is 'x'; expected a number"),
    ("reward", ["a"], "expected a text"),
    ("evaluation.methods", 7, "expected several values in parentheses"),
  ],
)
def test_fields_of_another_kind_are_named(name, value, says):
  config = base.paper()
  section, _, key = name.rpartition(".")
  tree = config[section] if section else config
  if name == "rounds":
    del tree[key]
  with tree.unlocked(), tree.ignore_type():
    tree[key] = value
  with pytest.raises(InputError, match=says):
    form.check(config)


def test_a_field_that_is_missing_is_named():
  config = base.paper()
  del config.rounds.eta
  with pytest.raises(InputError, match="no field 'rounds.eta'"):
    form.check(config)


@pytest.mark.parametrize(
  ("value", "says"),
  [
    (object(), "config.a.b is <object"),
    ((1, len), r"config.a.b\[1\] is <built-in"),
    ("\ud800", r"config.a.b is '\\ud800'; expected a text of whole"),
  ],
)
def test_what_no_file_can_keep_is_named(value, says):
  config = ml_collections.ConfigDict({"a": {"b": value}})
  with pytest.raises(InputError, match=says):
    form.check_plain(config)


@pytest.mark.parametrize("found", [None, {}, [1], 7])
def test_what_is_no_config_is_said(found):
  with pytest.raises(InputError, match="expected a ConfigDict"):
    form.check_plain(found)


def test_numbers_texts_and_nothing_can_be_kept():
  tree = {"a": None, "b": (1, 2.0, "c", True), "d": {"e": [[]]}}
  form.check_plain(ml_collections.ConfigDict(tree))
