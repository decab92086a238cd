from qsharp_jax.evaluation import two_rewards


def row(method, reward, judge, **more):
  return {"method": method, "reward": reward, "judge": judge, "eta": 0.1} | more


ROWS = [
  row("reference", 0.0, 0.0, eta=None),
  row("front_1_0", 3.0, -1.0),
  row("front_0_1", 0.5, 2.0),
  row("front_0.5_0.5", 2.0, 1.0),
  row("qsharp", 3.0, -1.0, selected=True),
  row("qsharp", 2.0, -1.0, eta=0.5, selected=False),
]


def test_the_front_is_in_the_order_of_the_first_weight():
  found = [r["method"] for r in two_rewards.on_front(ROWS)]
  assert found == ["front_0_1", "front_0.5_0.5", "front_1_0"]


def test_monotone_by_hand():
  assert two_rewards.is_monotone(ROWS)
  bent = [*ROWS, row("front_0.75_0.25", 1.9, 0.5)]
  assert not two_rewards.is_monotone(bent)
  assert two_rewards.is_monotone(bent, slack=0.11)
  assert not two_rewards.is_monotone([*ROWS, row("front_3_1", 2.5, 1.2)])


def test_a_picture_is_drawn(tmp_path):
  two_rewards.draw(ROWS, tmp_path / "front.png")
  two_rewards.draw(ROWS[:1], tmp_path / "none.png")
  for name in ("front.png", "none.png"):
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
