"""Star graphs as a task: drawn or read, learnt from, counted by position."""

import collections

import numpy as np
import pytest
from oracles import star_lines

from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import star_graph, star_graph_text


def draw(num=200, seed=0, **changed):
  sizes = {"degree": 3, "path_length": 4, "num_nodes": 20} | changed
  return star_graph.generate(num, seed=seed, **sizes)


@pytest.mark.parametrize(("degree", "path_length"), [(2, 2), (3, 4), (5, 3)])
def test_drawn_graphs_survive_writing_and_are_right(degree, path_length):
  graphs = draw(degree=degree, path_length=path_length)
  for graph in graphs:
    assert star_graph_text.parse(star_graph_text.format(graph)) == graph
    assert star_graph_text.solve(graph) == graph.path
    assert len(graph.edges) == degree * (path_length - 1)
    nodes = {node for edge in graph.edges for node in edge}
    assert len(nodes) == 1 + len(graph.edges) and max(nodes) < 20
    # Away from the centre: every other node is entered once, the start never.
    assert {b for _, b in graph.edges} == nodes - {graph.start}


def test_nothing_but_the_end_tells_the_arm():
  """The goal's arm is any of the d, and its edges stand anywhere."""
  graphs = draw(3000, degree=3, path_length=2, num_nodes=12)
  order = collections.Counter(
    graph.edges.index((graph.start, graph.goal)) for graph in graphs
  )
  assert all(abs(count / 3000 - 1 / 3) < 0.04 for count in order.values())
  starts = collections.Counter(graph.start for graph in graphs)
  assert len(starts) == 12
  assert all(abs(n / 3000 - 1 / 12) < 0.03 for n in starts.values())


def test_graphs_follow_from_the_seed_and_do_not_repeat():
  graphs = draw(100, seed=3)
  assert graphs == draw(100, seed=3)
  texts = {star_graph_text.question(graph) for graph in graphs}
  assert len(texts) == 100
  others = draw(100, seed=4)
  assert not texts & {star_graph_text.question(graph) for graph in others}
  again = star_graph.generate(
    100, degree=3, path_length=4, num_nodes=20, seed=3, exclude=texts
  )
  assert not texts & {star_graph_text.question(graph) for graph in again}


def test_mistakes_lead_to_the_end_of_another_arm():
  graphs = draw(1000)
  found = star_graph.with_mistakes(graphs, mistake_rate=0.25, seed=0)
  wrong = [(a, b) for a, b in zip(graphs, found, strict=True) if a != b]
  assert 200 < len(wrong) < 300
  for before, after in wrong:
    assert star_graph_text.question(before) == star_graph_text.question(after)
    assert after.path[-1] != after.goal and after.path[0] == after.start
    assert after.path in star_graph_text.arms(before)
  assert star_graph.with_mistakes(graphs, mistake_rate=0, seed=0) == graphs
  again = star_graph.with_mistakes(graphs, mistake_rate=0.25, seed=0)
  assert again == found
  with pytest.raises(InputError, match="mistake_rate is 1.5"):
    star_graph.with_mistakes(graphs, mistake_rate=1.5, seed=0)


@pytest.mark.parametrize(
  ("changed", "says"),
  [
    ({"degree": 1}, "degree 1"),
    ({"path_length": 1}, "path_length 1"),
    ({"num_nodes": 9}, "10"),
    ({"degree": 2, "path_length": 2, "num_nodes": 3}, "found"),
  ],
)
def test_sizes_that_cannot_be_are_refused(changed, says):
  with pytest.raises(InputError, match=says):
    draw(**changed)


def test_every_place_is_counted_by_itself():
  extracted = ["5,4,7", "5,9,7", "5", None, "1,2,3,4", "5,4,7,8"]
  answers = ["5,4,7", "5,4,7", "5,4,7", "5,4,7", "1,2,3,4", "5,4,7"]
  np.testing.assert_allclose(
    star_graph.per_position(extracted, answers), [5 / 6, 3 / 6, 4 / 6, 1]
  )


def test_numbers_are_compared_whole():
  np.testing.assert_array_equal(
    star_graph.per_position(["1,12"], ["11,12"]), [0, 1]
  )


@pytest.mark.parametrize(("extracted", "answers"), [([], []), (["1"], [])])
def test_wrong_lengths_are_refused(extracted, answers):
  with pytest.raises(ValueError, match="as many"):
    star_graph.per_position(extracted, answers)


def task(path="", **changed):
  sizes = {"degree": 2, "path_length": 2, "num_nodes": 10, "seed": 0}
  nums = {"num_train": 60, "num_test": 20, "num_corpus": 40}
  room = {"mistake_rate": 0.5, "max_new_tokens": 3, "max_length": 10}
  return star_graph.StarGraphs(**sizes | nums | room | changed, path=str(path))


def write(path, num, seed):
  """Graphs of two arms with one node each, labels 1 to 9."""
  lines = star_lines.lines(num, arms=2, nodes_per_arm=2, highest=9, seed=seed)
  path.write_text("\n".join(lines))
  return lines


def test_a_task_has_questions_and_a_corpus_apart(tmp_path):
  questions = task().questions()
  assert (len(questions["train"]), len(questions["test"])) == (60, 20)
  assert questions["train"][0].id == "train-1"
  corpus, tokenizer = task().corpus(tmp_path)
  texts = [q.question for q in [*questions["train"], *questions["test"]]]
  texts += [q.question for q in corpus]
  assert len(corpus) == 40 and len(set(texts)) == 120
  wrong = sum(
    star_graph_text.solve(graph) != graph.path
    for graph in (star_graph_text.parse(q.question + q.answer) for q in corpus)
  )
  assert 10 <= wrong <= 30
  assert tokenizer.decode(tokenizer.encode("1,2|1,3/1,2=1,2")).split() == [
    *("1", "2", "1", "3", "1", "2", "=", "1", "2")
  ]


def test_one_file_is_cut_in_proportion_and_tests_are_not_learnt_from(tmp_path):
  lines = write(tmp_path / "graphs.txt", 30, seed=0)
  lines = list(dict.fromkeys(lines))
  repeated = [*lines[:4], *lines[:4], *lines[8:]]  # tests again in train
  (tmp_path / "graphs.txt").write_text("\n".join(repeated))
  graphs = task(tmp_path / "graphs.txt").graphs()
  num = len(repeated)
  assert [star_graph_text.format(g) for g in graphs["test"]] == (
    repeated[: round(num / 6)]
  )
  tested = {star_graph_text.question(g) for g in graphs["test"]}
  for name, begin, end in (("train", 1 / 6, 4 / 6), ("pretrain", 4 / 6, 1)):
    part = repeated[round(num * begin) : round(num * end)]
    kept = [line for line in part if line.partition("=")[0] + "=" not in tested]
    assert [star_graph_text.format(g) for g in graphs[name]] == kept
  assert len(graphs["train"]) < round(num * 4 / 6) - round(num / 6)


def test_a_directory_has_a_file_for_each_part(tmp_path):
  parts = {
    name: write(tmp_path / f"{name}.txt", num, seed=num)
    for name, num in (("pretrain", 12), ("train", 8), ("test", 3))
  }
  questions = task(tmp_path).questions()
  assert [q.question + q.answer for q in questions["test"]] == parts["test"]
  tested = {q.question for q in questions["test"]}
  train = [line.split("=") for line in parts["train"]]
  assert [(q.question, q.answer) for q in questions["train"]] == [
    (text + "=", path) for text, path in train if text + "=" not in tested
  ]
  (tmp_path / "test.txt").unlink()
  with pytest.raises(InputError, match="test.txt"):
    task(tmp_path).questions()


@pytest.mark.parametrize(
  ("changed", "says"),
  [
    ({"num_nodes": 9}, "num_nodes is 9; expected at least 10"),
    ({"max_new_tokens": 2}, "max_new_tokens is 2; expected at least 3"),
    ({"max_length": 9}, "max_length is 9; expected at least 10"),
  ],
)
def test_graphs_must_have_room(changed, says, tmp_path):
  write(tmp_path / "graphs.txt", 100, seed=0)
  task(tmp_path / "graphs.txt").graphs()
  with pytest.raises(InputError, match=says):
    task(tmp_path / "graphs.txt", **changed).graphs()


def test_a_report_says_where_paths_go_wrong():
  found = task().columns(["1,2,3", "1,4", None], ["1,2,3", "1,2,3", "1,4"])
  assert found == {"per_position": [round(2 / 3, 4), round(1 / 3, 4), 0.5]}
  # Another reward cuts no path out of a completion.
  assert task().columns([None, None], ["1,2,3", "1,4"]) == {}


def test_says_which_files_its_graphs_come_from(tmp_path):
  assert task().files() == []
  assert task(path=str(tmp_path / "missing")).files() == []
  names = ("train.txt", "pretrain.txt", "test.txt", "notes.md")
  for name in names:
    (tmp_path / name).write_text("")
  found = task(path=str(tmp_path)).files()
  assert [file.name for file in found] == sorted(names[:3])
  one = tmp_path / "train.txt"
  assert task(path=str(one)).files() == [one]
