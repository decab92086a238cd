import collections
import math
import os
import subprocess
import sys
import threading
import time

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import workers
from qsharp_jax.rewards.graders import Grade

USER_CODE = r"""
import os, subprocess, sys, time
from qsharp_jax.rewards import declare
from qsharp_jax.rewards.graders import Grade

def reward(prediction, answer):
  if prediction == "sleep":
    time.sleep(3600)
  if prediction == "raise":
    raise KeyError("two\nlines")
  if prediction == "exit":
    sys.exit(3)
  if prediction == "die":
    os._exit(3)
  if prediction == "unsayable":
    raise type("Unsayable", (Exception,), {"__str__": lambda self: 1 / 0})()
  if prediction == "none":
    return None
  if prediction == "modules":
    return Grade("jax" in sys.modules or "numpy" in sys.modules, None, 0.0)
  if prediction == "noise":
    print("[true, null, 5.0, null]")
    os.write(1, b"[true, null, 5.0, null]\n")
    return float(len(sys.stdin.read()))
  if prediction == "die once":
    if not os.path.exists(answer):
      open(answer, "w").close()
      os.kill(os.getpid(), 9)
  if prediction == "fork":
    os.fork()
    return 0.25
  if prediction == "fork and stay":
    if os.fork() == 0:
      time.sleep(3600)
    os._exit(3)
  if prediction == "long":
    return Grade(True, "x" * 20_000_000, 1.0)
  if prediction == "memory":
    return float(len(bytearray(3 << 30)))
  if prediction == "interrupt":
    raise KeyboardInterrupt
  if prediction == "many":
    return 1.0, 2.0
  if prediction == "surrogate":
    return Grade(True, "a\udc80", 1.0)
  if prediction == "close":
    os.closerange(3, 64)
  if prediction == "child":
    process = subprocess.Popen(["sleep", "3600"])
    return Grade(True, str(process.pid), 1.0)
  if prediction == "pid":
    return Grade(True, str(os.getpid()), 1.0)
  return float(prediction)

def asks(prediction, answer, *, prompt):
  return float(len(prompt))

@declare(is_batched=True, bounds=(-3.0, 9.0))
def together(predictions, answers, *, prompt):
  if "sleep" in predictions:
    time.sleep(3600)
  return [len(predictions) + float(p) / 100 + len(q) / 10_000
          for p, q in zip(predictions, prompt)]
"""


@pytest.fixture
def user_reward(tmp_path, monkeypatch):
  (tmp_path / "workers_user.py").write_text(USER_CODE)
  monkeypatch.syspath_prepend(tmp_path)
  return "workers_user:reward"


def right(reward):
  return Grade(None, None, reward)


def test_grades_come_back_in_order(user_reward):
  predictions = [str(i / 8) for i in range(1000)]
  with workers.GradingPool(user_reward, 2, 30.0) as pool:
    for count in (1000, 1, 0, 777):
      grades = pool.grade(predictions[:count], [""] * count)
      assert grades == [right(i / 8) for i in range(count)]


def test_strange_text_survives_the_way(user_reward):
  predictions = ['#### 1\n"\u2028', "\ud800 #### 2", "#### 3\r\0", "é" * 10**6]
  with workers.GradingPool("strict", 1, 30.0) as pool:
    grades = pool.grade(predictions, ["1", "2", "3", "4"])
  assert [grade.extracted for grade in grades] == ["1", "2", "3", None]


@pytest.fixture
def calls(monkeypatch):
  """How often a worker process was started, and how often sent tasks."""
  counts = collections.Counter()

  class Counted(workers.WorkerProcess):
    def __init__(self, *arguments):
      counts["start"] += 1
      super().__init__(*arguments)

    def send(self, *arguments):
      counts["send"] += 1
      super().send(*arguments)

  monkeypatch.setattr(workers, "WorkerProcess", Counted)
  return counts


@pytest.mark.parametrize("num_workers", [1, 2])
def test_one_bad_sample_costs_no_other(user_reward, num_workers, calls):
  bad = ["sleep", "raise", "nan", "exit", "die", "none", "inf", "sleep"]
  predictions = [text for i, name in enumerate(bad) for text in (name, str(i))]
  with workers.GradingPool(user_reward, num_workers, 0.5) as pool:
    grades = pool.grade(predictions, [""] * len(predictions))
    again = pool.grade(["2.0"], [""])
  assert grades[1::2] == [right(float(i)) for i in range(len(bad))]
  assert again == [right(2.0)]
  for name, grade in zip(bad, grades[::2], strict=True):
    assert (grade.correct, grade.extracted, grade.reward) == (False, None, 0.0)
    assert "\n" not in grade.error, name
  errors = dict(zip(bad, [grade.error for grade in grades[::2]], strict=True))
  assert "time limit of 0.5 s" in errors["sleep"]
  assert "KeyError" in errors["raise"]
  assert "nan" in errors["nan"]
  assert "inf" in errors["inf"]
  assert "SystemExit" in errors["exit"]
  assert "died" in errors["die"]
  assert "NoneType" in errors["none"]
  # A new process for each sample that hangs, up to three for one that dies,
  # which is tried again alone, and none for any other.
  num_lost = bad.count("sleep") + 3 * bad.count("die")
  assert calls["start"] <= num_workers + num_lost


def test_the_time_limit_holds_inside_c_code():
  tower = "9^{9^{9^{9}}}"
  predictions = ["\\boxed{" + tower + "}", r"\boxed{0.5}"]
  answers = ["\\frac{" + tower + "}{x} + 1", r"\frac{1}{2}"]
  with workers.GradingPool("boxed", 1, 1.0) as pool:
    stuck, fine = pool.grade(predictions, answers)
  assert not stuck.correct and "time limit" in stuck.error
  assert fine == Grade(True, "0.5", 1.0)


def test_a_pool_works_off_the_main_thread():
  grades = []

  def grade():
    with workers.GradingPool("boxed", 1, 30.0) as pool:
      grades.extend(pool.grade([r"\boxed{0.5}"], [r"\frac{1}{2}"]))

  thread = threading.Thread(target=grade)
  thread.start()
  thread.join()
  assert grades == [Grade(True, "0.5", 1.0)]


def test_workers_import_neither_jax_nor_numpy_and_prints_do_no_harm(
  user_reward, capfd
):
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    grades = pool.grade(["modules", "noise", "2.0"], [""] * 3)
  assert [grade.correct for grade in grades] == [False, None, None]
  assert [grade.reward for grade in grades] == [0.0, 0.0, 2.0]
  assert [grade.error for grade in grades] == [None] * 3
  captured = capfd.readouterr()
  assert captured.out == ""
  assert captured.err.count("5.0") == 2


def test_processes_start_with_the_first_grade_and_end_with_the_context(
  user_reward,
):
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    assert pool._workers == []
    (first,) = pool.grade(["pid"], [""])
    (second,) = pool.grade(["pid"], [""])
    assert first == second  # the same process
    os.kill(int(first.extracted), 0)  # alive
  with pytest.raises(ProcessLookupError):
    os.kill(int(first.extracted), 0)


def test_a_worker_that_died_between_calls_is_replaced(user_reward):
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    (grade,) = pool.grade(["pid"], [""])
    os.kill(int(grade.extracted), 9)
    pool._workers[0].process.wait()
    grades = pool.grade(["1.0", "2.0"], [""] * 2)
  assert grades == [right(1.0), right(2.0)]


def test_an_interrupted_grade_leaves_no_answers_behind(
  user_reward, monkeypatch
):
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    pool.grade(["1.0"], [""])
    with monkeypatch.context() as patch:
      patch.setattr(pool, "_collect", lambda *_: (_ for _ in ()).throw(OSError))
      with pytest.raises(OSError):
        pool.grade(["3.0"] * 8, [""] * 8)
    assert pool.grade(["2.0"], [""]) == [right(2.0)]


def test_a_module_the_workers_cannot_import_is_reported_not_retried(
  user_reward, monkeypatch, tmp_path
):
  pool = workers.GradingPool(user_reward, 1, 30.0)
  (tmp_path / "workers_user.py").write_text("raise OSError('gone')")
  with pytest.raises(InputError, match="OSError: gone"):
    pool.grade(["1.0"], [""])
  assert pool._workers == []


def test_refusals():
  with pytest.raises(InputError, match="num_workers"):
    workers.GradingPool("strict", 0, 1.0)
  for limit in (0.0, -1.0, math.nan):
    with pytest.raises(InputError, match="time_limit_s"):
      workers.GradingPool("strict", 1, limit)
  with pytest.raises(InputError, match="memory_limit_gib"):
    workers.GradingPool("strict", memory_limit_gib=0.0)
  with pytest.raises(InputError, match="start_limit_s"):
    workers.GradingPool("strict", start_limit_s=-1.0)
  with pytest.raises(InputError, match="max_failed_share"):
    workers.GradingPool("strict", max_failed_share=1.5)
  with pytest.raises(InputError, match="unknown reward"):
    workers.GradingPool("exact", 1, 1.0)
  with pytest.raises(InputError, match="2 predictions, 1 answers"):
    workers.GradingPool("strict", 1, 1.0).grade(["", ""], [""])


def test_cheap_grades_travel_in_large_chunks(calls):
  solution = "She makes 9 * 2 = $<<9*2=18>>18 every day.\n" * 5 + "#### 18"
  with workers.GradingPool("flexible", 1, 30.0) as pool:
    pool.grade([solution], [solution])
    calls.clear()
    grades = pool.grade([solution] * 10_000, [solution] * 10_000)
  assert grades == [Grade(True, "18", 1.0)] * 10_000
  # Waiting for one answer at a time would be ten times as slow.
  assert calls == {"send": 40}


def test_the_room_imports_neither_jax_nor_sympy():
  code = (
    "import sys, qsharp_jax.rewards, qsharp_jax.rewards.worker; "
    "print({'jax', 'numpy', 'sympy'} & set(sys.modules))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "set()"


def test_a_worker_killed_while_busy_is_no_fault_of_its_sample(
  user_reward, tmp_path
):
  predictions = ["1.0", "die once", "2.0", "die", "3.0"]
  mark = str(tmp_path / "mark")
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    grades = pool.grade(predictions, [mark] * 5)
  assert [grade.error is None for grade in grades] == [
    *[True, False, True, False, True]
  ]
  assert "could not convert" in grades[1].error  # it ran on, the second time
  assert "died" in grades[3].error
  assert [grades[i].reward for i in (0, 2, 4)] == [1.0, 2.0, 3.0]


def test_a_reward_that_forks_shifts_no_grade(user_reward):
  predictions = ["fork", "0.5", "fork", "fork", "2.0"] * 3
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    (before,) = pool.grade(["pid"], [""])
    for _ in range(3):
      rewards = [g.reward for g in pool.grade(predictions, [""] * 15)]
      assert rewards == [0.25, 0.5, 0.25, 0.25, 2.0] * 3
    assert pool.grade(["pid"], [""]) == [before]  # nor costs a worker


def test_a_dead_worker_is_seen_though_its_child_keeps_the_pipe_open(
  user_reward,
):
  with workers.GradingPool(user_reward, 1, 300.0) as pool:
    stuck, fine = pool.grade(["fork and stay", "2.0"], [""] * 2)
  # Not "over the time limit", which would have come instead.
  assert "died" in stuck.error and fine.reward == 2.0


def test_a_long_answer_is_kept_in_pieces_until_its_line_ends(user_reward):
  held = []

  class Watched(workers.WorkerProcess):
    def receive(self, grades, time_limit_s):
      is_alive = super().receive(grades, time_limit_s)
      held.append(max(map(len, self._partial), default=0))
      return is_alive

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(workers, "WorkerProcess", Watched)
    with workers.GradingPool(user_reward, 1, 60.0) as pool:
      (grade,) = pool.grade(["long"], [""])
  assert len(grade.extracted) == 20_000_000
  # Joined piece by piece, a copy would grow with every read.
  assert len(held) > 10 and max(held) < 2_000_000


def test_what_a_reward_does_stays_with_its_sample(user_reward):
  bad = ["memory", "interrupt", "many", "close", "surrogate", "unsayable"]
  predictions = [text for name in bad for text in (name, "2.0")]
  with workers.GradingPool(user_reward, 1, 30.0, memory_limit_gib=2.0) as pool:
    grades = pool.grade(predictions, [""] * len(predictions))
  assert grades[1::2] == [right(2.0)] * len(bad)
  memory, interrupt, many, close, surrogate, unsayable = grades[::2]
  assert "MemoryError" in memory.error
  assert "KeyboardInterrupt" in interrupt.error
  assert "tuple" in many.error
  assert "died" in close.error
  assert surrogate == Grade(True, "a?", 1.0)
  assert "Unsayable" in unsayable.error


def test_what_a_reward_started_ends_with_its_worker(user_reward):
  with workers.GradingPool(user_reward, 1, 30.0) as pool:
    (grade,) = pool.grade(["child"], [""])
    os.kill(int(grade.extracted), 0)
  deadline = time.monotonic() + 10.0
  while time.monotonic() < deadline:
    try:
      os.kill(int(grade.extracted), 0)
      state = open(f"/proc/{grade.extracted}/stat").read().split()[2]
    except (ProcessLookupError, FileNotFoundError):
      return
    if state == "Z":  # nobody waits for it, but it runs no more
      return
    time.sleep(0.05)
  raise AssertionError("the child still runs")


@pytest.mark.parametrize(
  "code, says",
  [
    ("import sys; sys.exit(0)", "SystemExit"),
    ("import os; os._exit(0)", "did not start"),
    ("import time; time.sleep(3600)", "time limit of 3 s"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise type('Odd', (BaseException,), {})('two\\nlines')", "two lines"),
    ("x = bytearray(1 << 40)", "MemoryError"),
    ("import os; os.closerange(0, 64)", "did not start"),
    ("import os; os.fork(); 1 / 0", "ZeroDivisionError"),
    ("def f(p, a): pass\nf.qsharp_reward = 7", "qsharp_reward=7"),
    (
      "class F:\n  __call__ = len\n  @property\n  def __signature__(self):\n"
      "    raise SystemExit(0)\nf = F()",
      "SystemExit: 0",
    ),
  ],
)
def test_an_import_that_misbehaves_is_one_line_and_bounded(
  code, says, tmp_path, monkeypatch, capfd
):
  (tmp_path / "workers_odd.py").write_text(code)
  monkeypatch.syspath_prepend(tmp_path)
  with pytest.raises(InputError, match="workers_odd:f") as caught:
    workers.GradingPool("workers_odd:f", 1, 30.0, start_limit_s=3.0)
  assert says in str(caught.value)
  assert "\n" not in str(caught.value)
  assert "workers_odd" not in sys.modules
  assert "Traceback" not in capfd.readouterr().err


def test_an_import_that_prints_does_no_harm(tmp_path, monkeypatch, capfd):
  code = "print('[0, true]', flush=True)\ndef f(p, a): return 1.0"
  (tmp_path / "workers_prints.py").write_text(code)
  monkeypatch.syspath_prepend(tmp_path)
  with workers.GradingPool("workers_prints:f", 1, 30.0) as pool:
    assert pool.grade([""], [""]) == [right(1.0)]
  assert capfd.readouterr().out == ""


def test_failures_are_counted_for_each_split_and_stop_the_run(user_reward):
  with workers.GradingPool(user_reward, 1, 30.0, max_failed_share=0.5) as pool:
    pool.grade(["raise"] * 5, [""] * 5, "test")  # too few to judge
    pool.grade(["1.0"] * 20 + ["raise"] * 20, [""] * 40, "train")
    assert vars(pool.counts["train"]) == {"graded": 40, "failed": 20}
    with pytest.raises(InputError, match="21 of 41 samples of train") as caught:
      pool.grade(["raise"], [""], "train")
    assert "KeyError" in str(caught.value)
    assert vars(pool.counts["test"]) == {"graded": 5, "failed": 5}


def test_a_reward_may_read_the_prompt(user_reward):
  name = "workers_user:asks"
  with workers.GradingPool(name, 1, 30.0) as pool:
    grades = pool.grade(["1", "2"], ["", ""], prompts=["abc", "é"])
    assert grades == [right(3.0), right(1.0)]
    with pytest.raises(InputError, match="reads the prompt"):
      pool.grade(["1"], [""])


def test_a_batched_reward_is_called_with_lists(user_reward):
  with workers.GradingPool("workers_user:together", 1, 30.0) as pool:
    assert pool.traits.is_batched and pool.traits.takes_prompt
    assert pool.traits.bounds == (-3.0, 9.0)
    grades = pool.grade(["7"] * 8, [""] * 8, prompts=["q"] * 8)
  # A quarter of the tasks a chunk: two in each call.
  assert grades == [right(2 + 0.07 + 0.0001)] * 8


def test_a_batch_over_its_time_costs_its_own_samples(user_reward):
  predictions = ["sleep", "1", "2", "3"] * 2
  with workers.GradingPool("workers_user:together", 1, 0.4) as pool:
    grades = pool.grade(predictions, [""] * 8, prompts=[""] * 8)
  failed = [grade.error is not None for grade in grades]
  assert failed == [True, True, False, False] * 2
