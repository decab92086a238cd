"""A page's content by hand, and strings that try to leave it."""

HOSTILE = [
  "</script><script>window.taken = 1</script>",
  "<img src=x onerror='window.taken = 1'>",
  '"><svg onload="window.taken = 1">',
  "<!--<script>",
  "]]>&lt;b&gt; &amp; {{script}} {{data}} \\u003c \u2028 \udc80 \x00",
]


def row(method, eta, reward, kl, **fields):
  interval = [reward - 0.01, reward + 0.01]
  verdicts = {"pass@1": reward, "pass@1_ci95": interval}
  return (
    {
      "method": method,
      "eta": eta,
      "round": 0 if eta is None else 2,
      "num_questions": 3,
      "num_samples": 8,
      "reward": reward,
      "reward_ci95": interval,
      "kl": kl,
      "share": None if eta is None else 0.5,
      "selected": False,
      "seconds": 2.0,
    }
    | verdicts
    | fields
  )


def report(**more):
  """As report.json."""
  return {
    "experiment": "words",
    "variant": "small",
    "rows": [
      row("reference", None, 0.5, 0.0),
      row("qsharp", 0.1, 0.9, 0.25, selected=True),
      row("qsharp", 0.5, 0.7, 0.1),
      row("cd", 0.1, 0.8, 0.3, selected=True),
    ],
    "front": {
      "kl": [0.0, 0.1, 1.0],
      "reward": [0.5, 0.75, 1.0],
      "low": [0.45, 0.7, 0.95],
      "high": [0.55, 0.8, 1.0],
    },
    "seconds": {"train_1": 3.0, "evaluate_test_cd-eta0.1": 1.0, "total": 4.0},
    "versions": {"python": "3", "jax": None},
  } | more


def answer(text, reward, count=8):
  own = {"text": text, "count": count, "reward": reward, "error": None}
  return own | {"correct": reward > 0.5}


def question(id_, text, gold, means, texts):
  return {
    "id": id_,
    "question": text,
    "gold": gold,
    "means": means,
    "counts": [8] * len(means),
    "answers": [
      [answer(own, mean)] for own, mean in zip(texts, means, strict=True)
    ],
  }


def token(text, value, reference, guided, others=()):
  own = [text, value, reference, guided]
  return [*own, [own, *others], None]


def shown(texts=("one apple", "two pears", "three plums")):
  """What only the page shows, with some texts of others in all places."""
  one, two, three = texts
  questions = [
    question("q1", one, "gold 1", [1.0, 1.0, 1.0], [one, two, three]),
    question("q2", two, "gold 2", [1.0, 0.0, 1.0], [two, three, one]),
    question("q3", three, one, [0.0, 0.5, 0.0], [three, one, two]),
  ]
  followed = [
    token(one, 0.5, 0.5, 0.5),
    token(two, 0.25, 0.1, 0.9, [[three, 0.9, 0.8, 0.05]]),
    token("⟨end⟩", 0.75, 1.0, 1.0),
  ]
  return {
    "answers": {
      "policies": [
        {"label": "Reference"},
        {"label": "Q#, eta 0.1"},
        {"label": "CD, eta 0.1"},
      ],
      "total": 3,
      "questions": questions,
    },
    "tokens": {
      "bounds": [0.0, 1.0],
      "isChance": True,
      "atoms": None,
      "questions": [
        {
          "id": "q2",
          "question": two,
          "gold": one,
          "answers": [{"label": one, "reward": 1.0, "tokens": followed}],
        }
      ],
    },
    "curves": [
      {"name": "round 1", "numbers": {"loss": [[1, 2, 3], [3.0, 2.0, 1.0]]}}
    ],
  }
