"""What is in the page's file, whatever texts it shows."""

import base64
import hashlib
import html.parser
import json
import re

import pytest
from oracles import pages

from qsharp_jax.evaluation import page, report


class Elements(html.parser.HTMLParser):
  """Start tags with attributes, and the text of scripts and styles."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.texts, self.is_open = [], {}, False
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    self.texts[len(self.tags)] = ""
    self.is_open = True

  def handle_endtag(self, tag):
    del tag
    self.is_open = False

  def handle_data(self, data):
    if not self.is_open:
      return
    self.texts[len(self.tags)] += data

  def of(self, name):
    """(attributes, text) of every element of a kind."""
    return [
      (attributes, self.texts[i])
      for i, (tag, attributes) in enumerate(self.tags, 1)
      if tag == name
    ]


def rendered(texts=("a", "b", "c"), **more):
  content = page.of_report(report.plain(pages.report(**more)))
  return page.render(content | pages.shown(texts))


@pytest.mark.parametrize("hostile", pages.HOSTILE)
def test_hostile_text_is_data_and_nothing_else(hostile):
  tame = Elements(rendered())
  wild = Elements(rendered([hostile] * 3, experiment=hostile))
  assert [tag for tag, _ in tame.tags] == [tag for tag, _ in wild.tags]
  (attributes, data), (_, script) = wild.of("script")
  assert attributes == {"id": "data", "type": "application/json"}
  assert script == tame.of("script")[1][1]
  found = json.loads(data)
  assert found["answers"]["questions"][0]["question"] == hostile
  assert (
    found["tokens"]["questions"][0]["answers"][0]["tokens"][0][0] == hostile
  )
  assert not set("<>&") & set(data)


def test_only_its_own_script_and_style_may_run_and_nothing_is_fetched():
  text = rendered()
  elements = Elements(text)
  (policy,) = [
    attributes["content"]
    for attributes, _ in elements.of("meta")
    if attributes.get("http-equiv") == "Content-Security-Policy"
  ]
  assert "default-src 'none'" in policy and "unsafe" not in policy
  for name, own in (
    ("script", elements.of("script")[1]),
    ("style", elements.of("style")[0]),
  ):
    digest = base64.b64encode(hashlib.sha256(own[1].encode()).digest()).decode()
    assert f"{name}-src 'sha256-{digest}'" in policy
  named = set(re.findall(r"https?://[^'\"\s]+", text))
  assert named <= {"http://www.w3.org/2000/svg"}
  for _, attributes in elements.tags:
    assert attributes.keys().isdisjoint({"src", "srcset", "style", "onload"})


def test_the_script_makes_no_markup_of_text():
  script = Elements(rendered()).of("script")[1][1]
  for name in ("innerHTML", "outerHTML", "insertAdjacent", "document.write"):
    assert name not in script
  assert not re.search(r"\beval\b|new Function|DOMParser|setHTML", script)


def test_the_data_are_those_of_the_report():
  found = json.loads(Elements(rendered()).of("script")[0][1])
  assert found["title"] == "words (small)"
  assert found["groups"]["names"] == ["method", "eta", "round"]
  assert found["groups"]["compared"] == ["reward", "kl", "share"]
  assert found["rows"][1]["eta"] == [0.1, None, True]
  assert found["rows"][1]["reward"] == [0.9, [0.89, 0.91], False]
  assert found["methods"]["qsharp"] == {"label": "Q#", "colour": 0, "marker": 0}
  assert found["front"]["kl"] == [0.0, 0.1, 1.0]


def test_numbers_are_as_long_as_anybody_reads():
  text = page.render({"title": "t", "x": [1 / 3, 123456.789, 7]})
  assert '"x":[0.33333,123460.0,7]' in text


def test_written_beside_the_report(tmp_path):
  report.write(pages.report(), tmp_path, pages.shown())
  assert "two pears" in (tmp_path / "report.html").read_text()
  assert "pears" not in (tmp_path / "report.json").read_text()
