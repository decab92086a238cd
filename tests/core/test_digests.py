import json

import numpy as np
import pytest

from qsharp_jax.core import digests
from qsharp_jax.core.errors import InputError


@pytest.fixture
def saved(tmp_path):
  (tmp_path / "inner").mkdir()
  (tmp_path / "a.json").write_text('{"theta": 10000.0}')
  (tmp_path / "inner" / "b.bin").write_bytes(bytes(range(256)) * 40_000)
  (tmp_path / "empty").touch()
  digests.write(tmp_path)
  return tmp_path


def test_what_is_listed(saved):
  listed = json.loads((saved / digests.NAME).read_text())
  assert {name: entry["bytes"] for name, entry in listed.items()} == {
    "a.json": 18,
    "empty": 0,
    "inner/b.bin": 10_240_000,
  }
  # Of nothing, as xxhash documents it.
  assert listed["empty"]["xxh3_128"] == "99aa06d3014798d86001c324468d497f"
  digests.check(saved)
  digests.check(saved, may_be_replaced=True)


def test_writing_again_lists_what_is_there_now(saved):
  (saved / "a.json").unlink()
  (saved / "c").write_text("new")
  digests.write(saved, skip=["empty"])
  listed = json.loads((saved / digests.NAME).read_text())
  assert set(listed) == {"c", "inner/b.bin"}


def test_a_directory_without_digests_is_taken_as_it_is(tmp_path):
  (tmp_path / "a").write_text("x")
  digests.check(tmp_path)
  digests.check(tmp_path, ["a", "absent"])


@pytest.mark.parametrize("may_be_replaced", [False, True])
def test_every_flipped_bit_is_noticed(saved, may_be_replaced):
  rng = np.random.default_rng(0)
  for name in ("a.json", "inner/b.bin"):
    content = (saved / name).read_bytes()
    for _ in range(20):
      damaged = bytearray(content)
      damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
      (saved / name).write_bytes(damaged)
      with pytest.raises(InputError, match=f"{saved / name} is not.*delete"):
        digests.check(saved, may_be_replaced=may_be_replaced)
      digests.check(saved, ["empty"])
    (saved / name).write_bytes(content)
  digests.check(saved)


def test_a_file_of_another_size_was_replaced_where_that_may_be(saved):
  (saved / "a.json").write_text('{"theta": 500000.0}')
  digests.check(saved, may_be_replaced=True)
  with pytest.raises(InputError, match=r"a\.json is not what was saved"):
    digests.check(saved)
  (saved / "a.json").unlink()
  digests.check(saved, may_be_replaced=True)
  with pytest.raises(InputError, match=r"a\.json is not what was saved"):
    digests.check(saved)


@pytest.mark.parametrize(
  "content", [b"", b"[]", b"\xff", b'{"a.json": 3}', b'{"a.json": {}}']
)
def test_broken_digests_are_named(content, saved):
  (saved / digests.NAME).write_bytes(content)
  with pytest.raises(InputError, match=r"digests\.json"):
    digests.check(saved)
