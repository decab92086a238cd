from qsharp_jax.evaluation import marks


def test_known_methods_keep_their_marks():
  alone = marks.styles(["cd"])
  among = marks.styles(["reference", "vas", "cd", "qsharp"])
  assert alone["cd"] == among["cd"] == (1, 1)
  assert among["vas"] == (2, 2) and "reference" not in among


def test_no_two_of_many_methods_look_alike():
  found = marks.styles(map(str, range(34)))
  assert len(set(found.values())) == len(found) == 36
  assert all(a < len(marks.COLOURS) for a, _ in found.values())


def test_names():
  assert [marks.name(x) for x in ("qsharp", "vas")] == ["Q#", "vas"]
