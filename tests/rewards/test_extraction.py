import json
import os
import pathlib

import pytest

from qsharp_jax.rewards import extraction

STRICT = [
  ("#### 18", "18"),
  ("work\n#### 18\n", "18"),
  ("#### 1 then #### 2", "2"),
  ("#### 7\n#### Notes", "7"),
  ("#### 1,234.50", "1234.50"),
  ("#### $1,080.", "1080"),
  ("#### $-5", "-5"),
  ("#### -$5", "-5"),
  (r"#### \$5", "5"),
  ("####42", "42"),
  ("#### 50%", "50"),
  ("#### 3/4", "3/4"),
  ("#### 1/0", None),
  ("#### .5", "0.5"),
  ("#### +4", "4"),
  ("#### \u22127", "-7"),
  ("#### 12 eggs", "12"),
  ("#### **42**", "42"),
  ("#### 7\n#### It is 3:30", "7"),
  ("#### 7\n#### 3:30", None),
  ("#### x = 3\n#### 6 * 7 = 42 eggs", "42"),
  ("#### \n 42 \n", "42"),
  ("### 42", None),
  ("the answer is 42", None),
  ("#### ", None),
  ("", None),
]

FLEXIBLE = [
  ("the answer is 42.", "42"),
  ("first 3, then 4", "4"),
  ("x = 3", "3"),
  ("x=-5", "-5"),
  ("16-3", "3"),
  ("a-3", "3"),
  ("(5)-3", "3"),
  ("50%-60%", "60"),
  ("x^{2}-3", "3"),
  ("(-3)", "-3"),
  ("\u22127", "-7"),
  ("16 - 3 = 13 eggs", "13"),
  ("$1,234.50.", "1234.50"),
  ("$-5", "-5"),
  ("-$5", "-5"),
  (r"\$18", "18"),
  ("€3.50", "3.50"),
  ("50%", "50"),
  (r"50\%", "50"),
  ("1,000,000 people", "1000000"),
  ("100, 200", "200"),
  ("12 m^2", "12"),
  ("12 m^{2}", "12"),
  ("12 m2", "12"),
  ("12 cm²", "12"),
  ("5km", "5"),
  ("the 3rd", "3"),
  ("No.5", "5"),
  (".5", "0.5"),
  ("5...", "5"),
  ("1.5e3 km", "1.5e3"),
  ("3/4 of it", "3/4"),
  ("1 / 2", "1/2"),
  ("5/0", "0"),
  ("12/25/2020", "2020"),
  (r"\frac{3}{4}", "3/4"),
  (r"-\dfrac{1}{2}", "-1/2"),
  (r"x\frac{1}{2}", "1/2"),
  (r"1{,}234", "1234"),
  (r"1,\!234", "1234"),
  (r"1\,234", "1234"),
  (r"\approx5", "5"),
  (r"\boxed{-42}", "-42"),
  ("**18**", "18"),
  ("x_1", None),
  ("H2O", None),
  ("no number", None),
  ("\u0663", None),  # an Arabic digit
  ("", None),
]

# The last number is part of something that is not read as one number.
FLEXIBLE_WITHOUT_AN_ANSWER = ["first 3, then 3,4", "7 at 8:15", "1 is \u221a9"]

BOXED = [
  (r"\boxed{5}", "5"),
  (r"so $\boxed{5}.$", "5"),
  (r"\boxed{1} or \boxed{2}", "2"),
  (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
  (r"\boxed{\frac{\sqrt{3}}{2}} }", r"\frac{\sqrt{3}}{2}"),
  (r"\boxed{\{1,2\}}", r"\{1,2\}"),
  (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
  ("\\boxed{a\\\\{b}}", r"a\\{b}"),
  (r"\boxed{\boxed{5}}", "5"),
  (r"\boxed{[1, 2)}", "[1, 2)"),
  ("\\boxed {\n 5 }", "5"),
  (r"\boxed{$5$}", "5"),
  (r"\boxed{5.}", "5"),
  (r"\boxed 5$ done", "5"),
  (r"\boxed x.", "x"),
  (r"\boxed\pi ", r"\pi"),
  (r"\fbox{7}", "7"),
  (r"\boxed{5} but \boxed{\frac{1", None),
  (r"\boxed{5", None),
  (r"\boxed{}", None),
  (r"\boxed{ }", None),
  (r"\boxed", None),
  (r"\boxedtext{5}", None),
  ("42", None),
]


@pytest.mark.parametrize("text, expected", STRICT)
def test_strict(text, expected):
  assert extraction.strict(text) == expected


@pytest.mark.parametrize("text, expected", FLEXIBLE)
def test_flexible(text, expected):
  assert extraction.flexible(text) == expected


@pytest.mark.parametrize("text", FLEXIBLE_WITHOUT_AN_ANSWER)
def test_flexible_takes_no_number_before_an_unread_last_one(text):
  assert extraction.flexible(text) is None


@pytest.mark.parametrize("text, expected", BOXED)
def test_boxed(text, expected):
  assert extraction.boxed(text) == expected


@pytest.mark.parametrize("text, expected", FLEXIBLE)
def test_flexible_finds_the_same_number_wherever_its_tail_is_cut(
  text, expected
):
  for padding in range(160):
    padded = "In 3 words: " + text + " " * padding
    assert extraction.flexible(padded) == (expected or "3")


def test_flexible_reads_on_when_the_tail_cuts_a_number():
  digits = "7" * 300
  assert extraction.flexible(digits) == digits
  assert extraction.flexible("42" + " word" * 100) == "42"


def test_gsm8k_golds_are_what_stands_after_the_marks():
  if "QSHARP_DATA_DIR" not in os.environ:
    pytest.skip("QSHARP_DATA_DIR is not set")
  folder = pathlib.Path(os.environ["QSHARP_DATA_DIR"]) / "gsm8k"
  count = 0
  for name in ("train", "test"):
    for line in (folder / f"{name}.jsonl").open():
      answer = json.loads(line)["answer"]
      gold = answer.rpartition("#### ")[2].strip().replace(",", "")
      assert extraction.strict(answer) == gold
      assert extraction.flexible(answer) == gold
      count += 1
  assert count == 7473 + 1319
