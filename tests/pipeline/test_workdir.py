"""The directory of a run: stages done once, and bound to what made them."""

import contextlib
import json
import logging
import os

import pytest
from oracles import mutations

from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import Workdir, contents
from qsharp_jax.pipeline.stage import Stage

CONFIG = {"seed": 0, "fit": {"rate": 0.1, "etas": (0.1, 0.2)}}


@contextlib.contextmanager
def stage(workdir, name, **fields):
  """One stage; whether it is due."""
  with workdir.stages([Stage(name, **fields)]) as due:
    yield bool(due)


def begun(path, config=CONFIG, **fields):
  workdir = Workdir(path, config)
  with stage(workdir, "first", **fields):
    pass
  return workdir


def is_due(workdir, name="first", **fields):
  with stage(workdir, name, **fields) as due:
    return due


def test_opens_again_with_the_same_config(tmp_path):
  begun(tmp_path / "run")
  assert Workdir(str(tmp_path / "run"), CONFIG).path == tmp_path / "run"


def test_refuses_other_inputs_naming_what_differs(tmp_path):
  given = {"etas": (0.1, 0.2), "rate": 0.1, "seed": 0}
  workdir = begun(tmp_path, given=given)
  marks = (tmp_path / "stages" / "first.json").read_text()
  other = {"etas": (0.1,), "rate": 0.1, "seed": 1, "new": True}
  with pytest.raises(InputError) as error, stage(workdir, "first", given=other):
    pass
  says = str(error.value)
  for piece in (
    "etas [0.1, 0.2] there, [0.1] here",
    "new None there, True here",
    "seed 0 there, 1 here",
    "first of",
    "--workdir",
  ):
    assert piece in says
  assert "rate" not in says and "\n" not in says and "delete" not in says
  assert (tmp_path / "stages" / "first.json").read_text() == marks


def test_says_when_more_differs_than_it_lists(tmp_path):
  workdir = begun(tmp_path, given={str(i): i for i in range(8)})
  other = {str(i): -1 for i in range(8)}
  with (
    pytest.raises(InputError, match="…"),
    stage(workdir, "first", given=other),
  ):
    pass


def test_says_of_digests_only_that_they_changed(tmp_path):
  digest = lambda content: {"weights of x": contents.digest(content)}
  workdir = begun(tmp_path, given=digest([1]))
  with pytest.raises(InputError, match="^weights of x changed: first"):
    is_due(workdir, given=digest([2]))


def test_explains_in_the_words_of_the_stage(tmp_path):
  workdir = begun(tmp_path, given={"questions": "a"})
  explain = {"questions": lambda: "question 3 is gone"}
  with pytest.raises(InputError, match="^question 3 is gone: first"):
    is_due(workdir, given={"questions": "b"}, explain=explain)


def test_an_interrupted_stage_is_bound_too(tmp_path):
  workdir = Workdir(tmp_path, CONFIG)
  with pytest.raises(RuntimeError), stage(workdir, "first", given={"a": 1}):
    raise RuntimeError("killed")
  assert is_due(workdir, "second")
  with pytest.raises(InputError, match="a 1 there, 2 here"):
    is_due(workdir, given={"a": 2})
  assert is_due(workdir, given={"a": 1})


def test_what_was_deleted_may_be_made_from_something_else(tmp_path):
  workdir, output = Workdir(tmp_path, CONFIG), tmp_path / "made"
  fields = {"outputs": [output]}
  with stage(workdir, "first", given={"a": 1}, **fields):
    output.mkdir()
  with pytest.raises(InputError, match="or delete made there"):
    is_due(workdir, given={"a": 2}, **fields)
  output.rmdir()
  assert is_due(workdir, given={"a": 2}, **fields)


@pytest.mark.parametrize("is_finished", [True, False])
def test_other_settings_make_a_stage_again(tmp_path, caplog, is_finished):
  folder, file = tmp_path / "folder", tmp_path / "file"

  def make(rate, *, fails=False):
    fields = {"settings": {"rate": rate, "seed": 1}, "outputs": [folder, file]}
    with stage(Workdir(tmp_path, CONFIG), "first", **fields) as due:
      if due:
        found = [path.exists() for path in (folder, file)]
        (folder / "inside").mkdir(parents=True, exist_ok=True)
        file.touch()
        if fails:
          raise RuntimeError("killed")
        return found
    return None

  if is_finished:
    make(0.1)
    assert make(0.1) is None
  else:
    with pytest.raises(RuntimeError):
      make(0.1, fails=True)
    # What an interrupted attempt made is gone on from.
    with pytest.raises(RuntimeError):
      make(0.1, fails=True)
  with caplog.at_level(logging.WARNING):
    assert make(0.2) == [False, False]
  assert caplog.messages == ["first is made again: rate 0.1 there, 0.2 here"]
  assert make(0.2) is None


def test_refuses_marks_that_say_too_little(tmp_path):
  workdir = begun(tmp_path)
  (tmp_path / "stages" / "first.json").write_text('{"seconds": 1.0}')
  assert not is_due(workdir)
  for kind in ("given", "settings"):
    with pytest.raises(InputError, match="earlier version.*--workdir"):
      is_due(workdir, **{kind: {"a": 1}})


def test_stages_done_together_are_due_by_themselves(tmp_path):
  workdir = begun(tmp_path)
  stages = [Stage(name, settings={"a": 1}) for name in ("x", "y")]
  with workdir.stages(stages[:1]) as due:
    assert due == ["x"]
  with workdir.stages(stages) as due:
    assert due == ["y"]
  with workdir.stages([stages[0], Stage("y", settings={"a": 2})]) as due:
    assert due == ["y"]
  assert workdir.seconds().keys() == {"first", "x", "y"}


def test_a_digest_follows_what_a_stage_was_made_from(tmp_path):
  workdir = Workdir(tmp_path, CONFIG)
  assert workdir.digest("first") == ""
  digests = []
  for rate in (0.1, 0.2, 0.1):
    begun(tmp_path, settings={"rate": rate, "path": (1, 2)})
    digests.append(workdir.digest("first"))
  assert digests[0] == digests[2] != digests[1]


def test_digests_of_the_stages_of_a_call(tmp_path):
  workdir = begun(tmp_path)

  def both():
    begin = lambda name: is_due(workdir, name, settings={"a": name})
    return [begin("x"), begin("y")]

  for _ in range(2):  # due or done
    found = workdir.digests_of(both)
    assert found == {name: workdir.digest(name) for name in ("x", "y")}
  assert workdir.digests_of(lambda: None) == {}


@pytest.mark.parametrize("content", ["{", "[1, 2]"])
def test_refuses_a_config_file_that_is_none_of_ours(tmp_path, content):
  (tmp_path / "config.json").write_text(content)
  with pytest.raises(InputError, match="config.json is not"):
    Workdir(tmp_path, CONFIG)


def test_refuses_a_directory_of_something_else(tmp_path):
  (tmp_path / "thesis.tex").touch()
  with pytest.raises(InputError, match="holds no run.*--workdir"):
    Workdir(tmp_path, CONFIG)
  assert os.listdir(tmp_path) == ["thesis.tex"]


def test_refuses_a_file(tmp_path):
  (tmp_path / "run").touch()
  with pytest.raises(InputError, match="holds no run"):
    Workdir(tmp_path / "run", CONFIG)


def test_nothing_is_written_before_the_first_stage(tmp_path):
  Workdir(tmp_path / "run", CONFIG)
  assert not (tmp_path / "run").exists()
  # Inputs were wrong, the next attempt has other flags.
  other = {"seed": 1}
  begun(tmp_path / "run", other)
  assert json.loads((tmp_path / "run" / "config.json").read_text()) == other


def test_keeps_the_config_of_the_last_stage_that_was_made(tmp_path):
  kept = lambda: json.loads((tmp_path / "config.json").read_text())
  begun(tmp_path, {"seed": 0}, given={"seed": 0})
  with pytest.raises(InputError):
    begun(tmp_path, {"seed": 1}, given={"seed": 1})
  begun(tmp_path, {"seed": 0, "mesh": 2}, given={"seed": 0})
  assert kept() == {"seed": 0}
  gone = lambda: False
  begun(tmp_path, {"seed": 0, "eta": 3}, given={"seed": 0}, is_whole=gone)
  assert kept() == {"seed": 0, "eta": 3}


def test_runs_side_by_side_share_compiled_programs(tmp_path):
  first, second = Workdir(tmp_path / "a", CONFIG), Workdir(tmp_path / "b", {})
  assert first.compiled == second.compiled
  assert tmp_path / "a" not in first.compiled.parents


def test_a_stage_is_done_once(tmp_path):
  workdir = Workdir(tmp_path, CONFIG)
  for expected in (True, False, False):
    with stage(workdir, "collect_1") as is_due:
      assert is_due is expected
  with stage(Workdir(tmp_path, CONFIG), "collect_1") as is_due:
    assert not is_due


def test_a_stage_that_raised_is_still_due(tmp_path):
  workdir = Workdir(tmp_path, CONFIG)
  with pytest.raises(RuntimeError, match="full"), stage(workdir, "train_1"):
    raise RuntimeError("disk full")
  assert workdir.seconds() == {}
  with stage(workdir, "train_1") as is_due:
    assert is_due


def test_a_done_stage_does_not_hide_what_is_raised_inside(tmp_path):
  workdir = begun(tmp_path)
  with pytest.raises(RuntimeError, match="full"), stage(workdir, "first"):
    raise RuntimeError("disk full")


def test_seconds_of_finished_stages_in_their_order(tmp_path, monkeypatch):
  clock = iter([10.0, 12.5, 20.0, 20.25])
  monkeypatch.setattr("time.monotonic", lambda: next(clock))
  workdir = Workdir(tmp_path, CONFIG)
  for name in ("zeta", "alpha"):
    with stage(workdir, name):
      pass
  assert list(workdir.seconds().items()) == [("zeta", 2.5), ("alpha", 0.25)]


@pytest.mark.parametrize("content", [None, "", "{", "[]", "\ud800"])
def test_a_lost_config_is_said_and_written_again(tmp_path, caplog, content):
  begun(tmp_path)
  file = tmp_path / "config.json"
  good = file.read_text()
  if content is None:
    file.unlink()
  else:
    file.write_bytes(content.encode(errors="surrogatepass"))
  assert not is_due(Workdir(tmp_path, CONFIG))
  assert file.read_text() == good
  assert "config.json is" in caplog.text and "written again" in caplog.text


LOST = [None, "", "{", "[]", '{"made_from": 3, "seconds": 1}', "[" * 10**5]


@pytest.mark.parametrize("content", LOST, ids=range(len(LOST)))
@pytest.mark.parametrize("kind", ["given", "settings"])
def test_what_was_made_from_nobody_knows_what_is_made_again(
  tmp_path, caplog, kind, content
):
  made = tmp_path / "made"
  fields = {"outputs": [made, tmp_path / "beside"], kind: {"seed": 1}}
  workdir = begun(tmp_path, **fields)
  made.mkdir()
  (made / "shard").write_text("old")
  mark = tmp_path / "stages" / "first.json"
  mark.unlink()
  if content is not None:
    mark.write_text(content)
  assert is_due(Workdir(tmp_path, CONFIG), **fields)
  assert "first.json" in caplog.text and "made again" in caplog.text
  # Samples are dear, what is computed from them less so.
  aside = tmp_path / "made.unknown" / "shard"
  assert not made.exists() and aside.exists() == (kind == "given")
  made.mkdir()
  assert not is_due(Workdir(tmp_path, CONFIG), **fields)
  assert set(workdir.seconds()) == {"first"}


def test_seconds_pass_over_marks_that_cannot_be_read(tmp_path, caplog):
  workdir = begun(tmp_path)
  for name, content in (("a", ""), ("b", '{"seconds": "x"}'), ("c", "[]")):
    (tmp_path / "stages" / f"{name}.json").write_text(content)
  assert set(workdir.seconds()) == {"first"}
  assert "a.json is not JSON" in caplog.text


def test_damaged_files_of_a_run_are_read_over_or_one_line(tmp_path):
  given, settings = {"a": 1, "b": [1, "x"]}, {"c": {"d": 2.5}}
  begun(tmp_path, given=given, settings=settings)
  for name in ("stages/first.json", "config.json", "weights.json"):
    file = tmp_path / name
    document = json.loads(file.read_text()) if file.exists() else {"a": {}}
    good = file.read_bytes() if file.exists() else b"{}"
    for content in (
      *mutations.documents(document, 1, 100),
      *mutations.texts(good, 1, 100),
    ):
      file.write_bytes(content)
      try:
        workdir = Workdir(tmp_path, CONFIG)
        is_due(workdir, given=given, settings=settings)
        workdir.seconds(), workdir.digest("first")
      except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
    file.write_bytes(good)
