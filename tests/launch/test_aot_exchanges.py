"""What chips send to each other, by hand; see test_aot_numbers too."""

import pytest

from launch.aot import exchanges, hlo, traffic

# Weights are gathered in three parts, one before a loop of four turns, one in
# each of them beside a product, and one behind it.
_TEXT = """HloModule jit_step, is_scheduled=true

%first (p: bf16[8]) -> (bf16[8], bf16[16]) {
  %p = bf16[8]{0} parameter(0)
  %g.1 = bf16[16]{0} all-gather(%p), HOW
  ROOT %t = (bf16[8]{0}, bf16[16]{0}) tuple(%p, %g.1)
}

%beside (q: bf16[8], w: bf16[16], x: f32[4]) -> (f32[4], bf16[8], bf16[16]) {
  %q = bf16[8]{0} parameter(0)
  %w = bf16[16]{0} parameter(1)
  %x = f32[4]{0} parameter(2)
  %g.2 = bf16[16]{0} all-gather(%q), HOW
  %y = f32[4]{0} add(%x, %x)
  ROOT %u = (f32[4]{0}, bf16[8]{0}, bf16[16]{0}) tuple(%y, %q, %g.2)
}

%last (r: bf16[8], v: bf16[16]) -> bf16[16] {
  %r = bf16[8]{0} parameter(0)
  %v = bf16[16]{0} parameter(1)
  ROOT %g.3 = bf16[16]{0} all-gather(%r), HOW
}

%body (s: (s32[], f32[4], bf16[8], bf16[16])) -> (s32[], f32[4]) {
  %s = (s32[], f32[4]{0}, bf16[8]{0}, bf16[16]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %a = f32[4]{0} get-tuple-element(%s), index=1
  %b = bf16[8]{0} get-tuple-element(%s), index=2
  %c = bf16[16]{0} get-tuple-element(%s), index=3
  %f = (f32[4]{0}, bf16[8]{0}, bf16[16]{0}) fusion(%b, %c, %a), calls=%beside
  ROOT %n = (s32[], f32[4]{0}) tuple(%i, %a)
}

%condition (s: (s32[], f32[4], bf16[8], bf16[16])) -> pred[] {
  %s = (s32[], f32[4]{0}, bf16[8]{0}, bf16[16]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %four = s32[] constant(4)
  ROOT %lt = pred[] compare(%i, %four), direction=LT
}

ENTRY %main (b: bf16[8], c: bf16[16]) -> bf16[16] {
  %b = bf16[8]{0} parameter(0)
  %c = bf16[16]{0} parameter(1)
  %start = (bf16[8]{0}, bf16[16]{0}) fusion(%b), calls=%first
  %init = (s32[], f32[4]{0}, bf16[8]{0}, bf16[16]{0}) tuple(%zero, %a, %b, %c)
  %loop = (s32[], f32[4]{0}) while(%init), condition=%condition, body=%body
  ROOT %end = bf16[16]{0} fusion(%b, %c), calls=%last
}
"""


def parsed(groups="{{0,1}}"):
  how = f'replica_groups={groups}, frontend_attributes={{chain_id="0"}}'
  return hlo.parse(_TEXT.replace("HOW", how))


def test_an_exchange_in_parts_is_one():
  (found,) = exchanges.collectives(parsed())
  assert (found.kind, found.times, found.num_bytes) == ("all-gather", 1, 32)
  assert found.link_bytes == 16


def test_parts_of_an_exchange_move_its_bytes_once():
  # What goes in and what comes out, and four turns of four numbers, read and
  # written, and of the counter's comparison; what is handed on stays.
  assert traffic.hbm_bytes(parsed()) == 16 + 32 + 4 * (2 * 16 + 9)


@pytest.mark.parametrize(
  ("groups", "expected"),
  [
    ("{{0,1,2},{3,4,5}}", 3),
    ("[2,4]<=[8]", 4),
    ("[4,2]<=[2,4]T(1,0)", 2),
    ("mesh['axis_0'=1,'axis_1'=8] {'axis_1'}", 8),
    ("mesh['a'=2,'b'=1,'c'=4], device_ids=([4,2]T(1,0)) {'a','c'}", 8),
    ("mesh['a'=2,'b'=8] {'b':(2)4}", 4),
  ],
)
def test_groups_of_chips_in_every_form(groups, expected):
  (found,) = exchanges.collectives(parsed(groups))
  assert found.group == expected
  assert found.link_bytes == 32 * (expected - 1) / expected


def test_groups_in_no_known_form_are_not_guessed():
  with pytest.raises(ValueError, match="no groups"):
    exchanges.collectives(parsed("elsewhere"))


@pytest.mark.parametrize(
  "kind, expected",
  [("reduce-scatter", 75), ("all-to-all", 75), ("collective-permute", 100)],
)
def test_link_bytes(kind, expected):
  assert exchanges.Collective(kind, 1, 100, 4, ()).link_bytes == expected
