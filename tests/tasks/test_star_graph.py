"""Star graphs: drawn, written, read, and solved from their edges alone."""

import collections

import pytest
from oracles import star_lines

from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import star_graph

HAND_MADE = [
  ("1,2|1,3/1,2=1,2", (1, 2)),
  ("4,7|5,4|5,9|9,0/5,7=5,4,7", (5, 4, 7)),
  ("4,7|5,4|5,9|9,0/5,0=5,9,0", (5, 9, 0)),
  # The same star, its edges told the other way round here and there.
  ("7,4|5,4|9,5|9,0/5,0=5,9,0", (5, 9, 0)),
  ("3,12|12,40|40,8|3,6|6,11|11,2|3,1|1,5|5,9/3,2=3,6,11,2", (3, 6, 11, 2)),
]


def draw(num=200, seed=0, **changed):
  sizes = {"degree": 3, "path_length": 4, "num_nodes": 20} | changed
  return star_graph.generate(num, seed=seed, **sizes)


@pytest.mark.parametrize(("line", "path"), HAND_MADE)
def test_the_oracle_solves_hand_made_stars(line, path):
  graph = star_graph.parse(line)
  assert star_graph.solve(graph) == path == graph.path


@pytest.mark.parametrize(("degree", "path_length"), [(2, 2), (3, 4), (5, 3)])
def test_drawn_graphs_survive_writing_and_are_right(degree, path_length):
  graphs = draw(degree=degree, path_length=path_length)
  for graph in graphs:
    assert star_graph.parse(star_graph.format(graph)) == graph
    assert star_graph.solve(graph) == graph.path
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
  texts = {star_graph.question(graph) for graph in graphs}
  assert len(texts) == 100
  others = draw(100, seed=4)
  assert not texts & {star_graph.question(graph) for graph in others}
  again = star_graph.generate(
    100, degree=3, path_length=4, num_nodes=20, seed=3, exclude=texts
  )
  assert not texts & {star_graph.question(graph) for graph in again}


def test_mistakes_lead_to_the_end_of_another_arm():
  graphs = draw(1000)
  found = star_graph.with_mistakes(graphs, mistake_rate=0.25, seed=0)
  wrong = [(a, b) for a, b in zip(graphs, found, strict=True) if a != b]
  assert 200 < len(wrong) < 300
  for before, after in wrong:
    assert star_graph.question(before) == star_graph.question(after)
    assert after.path[-1] != after.goal and after.path[0] == after.start
    assert after.path in star_graph.arms(before)
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


@pytest.mark.parametrize("is_turned", [False, True])
def test_five_thousand_foreign_lines_are_read(tmp_path, is_turned):
  lines = star_lines.lines(
    5000, arms=5, nodes_per_arm=5, highest=50, seed=1, is_turned=is_turned
  )
  file = tmp_path / "graphs.txt"
  file.write_text("\n".join(lines) + "\n\n")
  graphs = star_graph.load(file)
  assert [star_graph.format(graph) for graph in graphs] == lines


BAD = [
  ("1,2|1,3/1,2", "expected a,b|c,d"),
  ("1,2|1,3 1,2=1,2", "expected a,b|c,d"),
  ("", "no graph"),
  ("1,2|1;3/1,2=1,2", "'1;3', expected 2 node numbers"),
  ("1,2|1,3,4/1,2=1,2", "'1,3,4', expected 2"),
  ("1,2||1,3/1,2=1,2", "'', expected 2"),
  ("1,2|1,-3/1,2=1,2", "'1,-3', expected 2"),
  ("1,2|1,03/1,2=1,2", "'1,03'"),
  ("1,2|1,x/1,2=1,2", "'1,x'"),
  ("1,2|1,3/1=1,2", "'/1', expected 2"),
  ("1,2|1,3/1,2=", "'=', expected node numbers"),
  ("1,2|2,3/1,3=1,2,3", "the start 1 has 1 edges"),
  ("1,2|1,3/7,2=7,2", "the start 7 has 0 edges"),
  ("1,2|1,3|3,4/1,4=1,3,4", "arms of 2 and of 3 nodes"),
  ("1,2|1,3|4,5/1,2=1,2", "3 edges, not all of them reached"),
  ("1,2|1,3|2,4|2,5|3,6|3,7/1,4=1,2,4", "the node 2 has 3 edges"),
  ("1,2|1,3|2,4|3,4/1,4=1,2,4", "a circle"),
  ("1,2|1,3|1,1/1,2=1,2", "1,1 is a loop"),
  ("1,2|1,3|2,1/1,2=1,2", "told twice"),
  ("1,2|1,3|2,4|3,5/1,2=1,2", "the goal 2 is no arm's end; expected one of 4"),
  ("1,2|1,3/1,2=1,3", "the answer is 1,3, expected 1,2"),
  ("1,2|1,3/1,2=2", "the answer is 2, expected 1,2"),
]


@pytest.mark.parametrize(("line", "says"), BAD)
def test_a_line_that_is_no_star_is_named(line, says, tmp_path):
  file = tmp_path / "graphs.txt"
  file.write_text(f"{HAND_MADE[0][0]}\n{line}\n" if line else "\n")
  with pytest.raises(InputError) as caught:
    star_graph.load(file)
  assert says in str(caught.value)
  assert str(caught.value).startswith(f"{file}:2: " if line else f"{file}: ")


def test_files_that_cannot_be_read_are_named(tmp_path):
  with pytest.raises(InputError, match="No such file"):
    star_graph.load(tmp_path / "nowhere.txt")
  (tmp_path / "image.png").write_bytes(b"\x89PNG\xff\xfe")
  with pytest.raises(InputError, match="not UTF-8"):
    star_graph.load(tmp_path / "image.png")
