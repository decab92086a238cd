"""Star graphs as text: read, and solved from their edges alone."""

import pytest
from oracles import star_lines

from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import star_graph_text

HAND_MADE = [
  ("1,2|1,3/1,2=1,2", (1, 2)),
  ("4,7|5,4|5,9|9,0/5,7=5,4,7", (5, 4, 7)),
  ("4,7|5,4|5,9|9,0/5,0=5,9,0", (5, 9, 0)),
  # The same star, its edges told the other way round here and there.
  ("7,4|5,4|9,5|9,0/5,0=5,9,0", (5, 9, 0)),
  ("3,12|12,40|40,8|3,6|6,11|11,2|3,1|1,5|5,9/3,2=3,6,11,2", (3, 6, 11, 2)),
]
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
  ("1,2|1,3|2,1/1,2=1,2", "listed twice"),
  ("1,2|1,3|2,4|3,5/1,2=1,2", "the goal 2 is no arm's end; expected one of 4"),
  ("1,2|1,3/1,2=1,3", "the answer is 1,3, expected 1,2"),
  ("1,2|1,3/1,2=2", "the answer is 2, expected 1,2"),
]


@pytest.mark.parametrize(("line", "path"), HAND_MADE)
def test_the_oracle_solves_hand_made_stars(line, path):
  graph = star_graph_text.parse(line)
  assert star_graph_text.solve(graph) == path == graph.path


@pytest.mark.parametrize("is_turned", [False, True])
def test_five_thousand_foreign_lines_are_read(tmp_path, is_turned):
  lines = star_lines.lines(
    5000, arms=5, nodes_per_arm=5, highest=50, seed=1, is_turned=is_turned
  )
  file = tmp_path / "graphs.txt"
  file.write_text("\n".join(lines) + "\n\n")
  graphs = star_graph_text.load(file)
  assert [star_graph_text.format(graph) for graph in graphs] == lines


@pytest.mark.parametrize(("line", "says"), BAD)
def test_a_line_that_is_no_star_is_named(line, says, tmp_path):
  file = tmp_path / "graphs.txt"
  file.write_text(f"{HAND_MADE[0][0]}\n{line}\n" if line else "\n")
  with pytest.raises(InputError) as caught:
    star_graph_text.load(file)
  assert says in str(caught.value)
  assert str(caught.value).startswith(f"{file}:2: " if line else f"{file}: ")


def test_files_that_cannot_be_read_are_named(tmp_path):
  with pytest.raises(InputError, match="No such file"):
    star_graph_text.load(tmp_path / "nowhere.txt")
  (tmp_path / "image.png").write_bytes(b"\x89PNG\xff\xfe")
  with pytest.raises(InputError, match="not UTF-8"):
    star_graph_text.load(tmp_path / "image.png")
