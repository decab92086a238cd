"""What a stage was made from, and how a difference is said."""

from qsharp_jax.pipeline import contents, stage


def test_made_from_is_what_json_gives_back():
  own = stage.Stage("x", given={"a": (1, 2)}, settings={"b": 0.5, "a2": None})
  assert own.made_from == {"a": [1, 2], "b": 0.5, "a2": None}


def test_names_what_differs_and_what_nobody_knows():
  own = stage.Stage("x", given={"d": 1, "c": 2}, settings={"b": (3,)})
  assert own.differing({"d": 1, "c": 3, "b": [3]}, own.given) == ["c"]
  assert own.differing({"d": 1, "c": 3, "b": [3]}, own.settings) == []
  assert own.differing({}, own.made_from) == ["b", "c", "d"]


def test_some_other_value_will_do():
  own = stage.Stage(
    "x", settings={"a": 4, "b": 1}, suffices={"a": lambda old: old in (None, 8)}
  )
  names = own.settings
  assert own.differing({"a": 8, "b": 1}, names) == []
  assert own.differing({"b": 1}, names) == []
  assert own.differing({"a": 2, "b": 2}, names) == ["a", "b"]


def test_one_output_is_enough_to_be_there(tmp_path):
  own = stage.Stage("x", outputs=(tmp_path / "a", tmp_path / "b"))
  assert not own.is_there
  (tmp_path / "b").mkdir()
  assert own.is_there
  assert not stage.Stage("x").is_there


def test_a_change_shows_values_but_no_digests():
  assert stage.change("seed", 0, 1) == "seed 0 there, 1 here"
  digest = contents.digest("questions")
  assert stage.change("questions", digest, None) == "questions changed"
