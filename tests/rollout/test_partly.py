"""Which samples are scored whole, and how both kinds come together again."""

import numpy as np
import pytest

from qsharp_jax import generate
from qsharp_jax.rollout import partly

NUM, KL_OF = 5, {seed: seed / 8 for seed in range(100)}


@pytest.mark.parametrize(
  ("num_samples", "kl_every", "found"),
  [
    (8, 1, [(tuple(range(8)), True, 1)]),
    (8, 4, [((0, 4), True, 4), ((1, 2, 3, 5, 6, 7), False, 1)]),
    (5, 2, [((0, 2, 4), True, 1), ((1, 3), False, 2)]),
    # At least one sample of a question is whole, and a single one always.
    (3, 9, [((0,), True, 3), ((1, 2), False, 1)]),
    (1, 9, [((0,), True, 1)]),
    (4, 0, [((0, 1, 2, 3), False, 1)]),
  ],
)
def test_parts(num_samples, kl_every, found):
  assert partly.parts(num_samples, kl_every) == found


def completion(seed, is_whole):
  """One token, whose KL is the seed's; a lazy one without a choice knows 0."""
  kl = np.array([KL_OF[seed] if is_whole else 0.0])
  return generate.Completion(
    np.array([seed]), kl, kl, kl, kl, True, 2, 3 + is_whole
  )


@pytest.mark.parametrize("kl_every", [1, 2, 3, 9, 0])
def test_samples_stand_in_their_order_and_lazy_ones_have_no_kl(kl_every):
  asked = [
    generate.Request([7], list(range(i, i + NUM)), 0.5, steps, id=f"q{i}")
    for i, steps in ((10, [1, 2, 3, 4, 5]), (20, None), (30, [5, 4, 3, 2, 1]))
  ]
  seen = []

  def run(requests, part):
    for request in requests:
      seen.append((request.id, request.guided_steps))
      yield [completion(seed, part.is_whole) for seed in request.seeds]

  found = list(partly.complete(run, asked, kl_every))
  own = set(range(0, NUM, kl_every)) if kl_every else set()
  for request, group in zip(asked, found, strict=True):
    assert [c.tokens[0] for c in group] == request.seeds
    assert [c.num_scored == 4 for c in group] == [i in own for i in range(NUM)]
    kl = [KL_OF[s] if i in own else np.nan for i, s in enumerate(request.seeds)]
    for name in ("kl", "kl_filtered"):
      np.testing.assert_array_equal([getattr(c, name)[0] for c in group], kl)
  # Switches went with their samples.
  steps = [own for id_, own in seen if id_ == "q30"]
  assert sorted(sum(steps, [])) == [1, 2, 3, 4, 5]
  assert all(own is None for id_, own in seen if id_ == "q20")
