"""The page in a real browser: what a reader clicks, types and sees."""

import pytest
from oracles import browser, pages

from qsharp_jax.evaluation import page, report

pytestmark = pytest.mark.skipif(
  browser.missing() is not None, reason=str(browser.missing())
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp("profile")) as found:
    yield found


@pytest.fixture
def open_page(driver, tmp_path):
  """Opens a page from disk; nothing may be logged by the end."""

  def opened(*texts, **more):
    content = page.of_report(report.plain(pages.report(**more)))
    file = tmp_path / "report.html"
    shown = pages.shown(texts) if texts else pages.shown()
    file.write_text(page.render(content | shown))
    driver.get(file.as_uri())
    # Charts are drawn once their width is known, again if a scroll bar takes
    # some of it.
    driver.execute_async_script(
      "const done = arguments[0], wait = requestAnimationFrame;"
      "wait(() => wait(() => wait(done)));"
    )
    return driver

  yield opened
  assert driver.get_log("browser") == []


def all_of(driver, selector, within=None):
  return (within or driver).find_elements("css selector", selector)


def texts(driver, selector):
  return [element.text for element in all_of(driver, selector)]


def column(driver, index):
  """Cells of a column of the first table, from the top."""
  return texts(
    driver, f"#results table:first-of-type tbody td:nth-child({index})"
  )[:4]


def press(driver, *keys):
  from selenium.webdriver.common.action_chains import ActionChains

  ActionChains(driver).send_keys(*keys).perform()


def hover(driver, element):
  from selenium.webdriver.common.action_chains import ActionChains

  driver.execute_script(
    "arguments[0].scrollIntoView({block: 'center'})", element
  )
  ActionChains(driver).move_to_element(element).perform()


def choose(driver, section, label, text):
  from selenium.webdriver.support.ui import Select

  (own,) = [
    x for x in all_of(driver, f"#{section} label") if x.text.startswith(label)
  ]
  Select(own.find_element("css selector", "select")).select_by_visible_text(
    text
  )


def test_every_part_is_there(open_page):
  driver = open_page()
  assert texts(driver, "nav a") == [
    *("Results", "Reward and KL", "Answers", "Tokens"),
    *("Learning curves", "Cost", "About"),
  ]


def test_a_heading_sorts_by_mouse_and_by_keyboard(open_page):
  from selenium.webdriver.common.keys import Keys

  driver = open_page()
  asked = ["Reference", "Q#", "Q#", "CD"]
  assert column(driver, 1) == asked
  head = all_of(driver, "#results th")[3]
  button = head.find_element("css selector", "button")
  button.click()
  assert [c[:5] for c in column(driver, 4)] == [
    "0.900",
    "0.800",
    "0.700",
    "0.500",
  ]
  assert head.get_attribute("aria-sort") == "descending"
  press(driver, Keys.ENTER)  # the button has the focus
  assert [c[:5] for c in column(driver, 4)] == [
    "0.500",
    "0.700",
    "0.800",
    "0.900",
  ]
  press(driver, Keys.SPACE)
  assert column(driver, 1) == asked
  # What has no eta stays last in both directions.
  for _ in range(2):
    all_of(driver, "#results th button")[1].click()
    assert column(driver, 2)[-1] == "–"


def test_few_columns_until_all_are_wanted(open_page):
  driver = open_page()
  few = texts(driver, "#results th")
  assert few[:6] == ["method", "eta", "round", "reward", "kl", "share"]
  all_of(driver, "#all-columns")[0].click()
  assert {"pass@1", "n", "seconds"} <= set(texts(driver, "#results th"))


def test_points_of_the_front_explain_themselves(open_page):
  from selenium.webdriver.common.keys import Keys

  driver = open_page()
  points = all_of(driver, "#front .point")
  tips = set()
  for point in points:
    hover(driver, point)
    by_mouse = texts(driver, "#tip")
    press(driver, Keys.ESCAPE)
    assert texts(driver, "#tip") == [""]
    driver.execute_script("arguments[0].focus()", point)
    assert texts(driver, "#tip") == by_mouse
    tips.add(by_mouse[0].partition("\nKL")[0])
  assert tips == {
    "Reference\nreward 0.5 [0.49, 0.51]",
    "Q#, eta 0.1, round 2\nreward 0.9 [0.89, 0.91]",
    "Q#, eta 0.5, round 2\nreward 0.7 [0.69, 0.71]",
    "CD, eta 0.1, round 2\nreward 0.8 [0.79, 0.81]",
  }
  assert len(all_of(driver, "#front .ring")) == 2
  assert all_of(driver, "#front .band")


def test_answers_are_the_worst_first_and_found_by_any_word(open_page):
  driver = open_page()
  heads = lambda: texts(driver, "#answers article h3")
  assert heads() == ["two pears", "three plums", "one apple"]
  choose(driver, "answers", "Guided by", "CD, eta 0.1")
  assert heads()[0] == "three plums"
  choose(driver, "answers", "Order", "as asked")
  assert heads() == ["one apple", "two pears", "three plums"]
  all_of(driver, "#search")[0].send_keys("GOLD 2 pears")
  assert heads() == ["two pears"]
  assert (
    "1 of 1 questions that match, of 3" in texts(driver, "#answers .note")[0]
  )


def test_a_token_shows_its_alternatives_by_mouse_and_keyboard(open_page):
  from selenium.webdriver.common.keys import Keys

  driver = open_page()
  panel = lambda: texts(driver, "#tokens .panel")[0]
  # At first the token that guidance changes most.
  assert "Token two pears, 2 of 3" in panel() and "three plums" in panel()
  assert "90.0 % (× 9)" in panel()
  tokens = all_of(driver, "#tokens .token")
  hover(driver, tokens[0])
  assert "Token one apple, 1 of 3" in panel() and "three" not in panel()
  driver.execute_script("arguments[0].focus()", tokens[0])
  press(driver, Keys.END)
  assert "Token ⟨end⟩, 3 of 3" in panel()
  press(driver, Keys.ARROW_LEFT)
  assert "before it 0.5" in panel()
  assert [t.get_attribute("tabindex") for t in tokens] == ["-1", "0", "-1"]


def test_an_answer_leads_to_its_tokens(open_page):
  driver = open_page()
  (link,) = all_of(driver, "#answers article a")
  driver.execute_script("arguments[0].click()", link)
  assert driver.current_url.endswith("#tokens")


def test_light_dark_and_print(open_page):
  driver = open_page()
  background = lambda: driver.execute_script(
    "return getComputedStyle(document.body).backgroundColor"
  )
  button = all_of(driver, "#theme")[0]
  assert (background(), button.text) == ("rgb(255, 255, 255)", "Dark")
  button.click()
  assert (background(), button.text) == ("rgb(21, 24, 28)", "Light")
  driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
  assert background() == "rgb(255, 255, 255)"
  assert not button.is_displayed()
  wish = {"name": "prefers-color-scheme", "value": "dark"}
  driver.execute_cdp_cmd(
    "Emulation.setEmulatedMedia", {"media": "", "features": [wish]}
  )
  driver.refresh()
  assert background() == "rgb(21, 24, 28)"
  driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("hostile", pages.HOSTILE)
def test_hostile_text_is_read_not_run(hostile, open_page):
  driver = open_page(hostile, hostile, hostile, experiment=hostile)
  assert driver.execute_script("return window.taken") is None
  assert driver.execute_script(
    "return document.querySelector('#answers article h3').textContent"
    " === JSON.parse(document.getElementById('data').textContent)"
    ".answers.questions[0].question"
  )
  assert all_of(driver, "img") == [] and len(all_of(driver, "script")) == 2


def test_a_narrow_window_scrolls_only_down(open_page):
  driver = open_page("w" * 300, "two " * 100, "three")
  size = driver.get_window_size()
  driver.set_window_size(500, 900)
  width = driver.execute_script(
    "return [document.documentElement.scrollWidth, innerWidth]"
  )
  driver.set_window_size(size["width"], size["height"])
  assert width[0] <= width[1]
