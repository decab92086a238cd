"""A headless Chromium without network, or a reason why there is none."""

import contextlib
import importlib.util
import shutil

FLAGS = (
  *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
  *("--no-first-run", "--disable-background-networking"),
  *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
  "--host-resolver-rules=MAP * ~NOTFOUND",
)


def missing() -> str | None:
  """What is missing to open a page."""
  for program in ("chromium", "chromedriver"):
    if shutil.which(program) is None:
      return f"no {program} here"
  if importlib.util.find_spec("selenium") is None:
    return "selenium is not installed"
  return None


@contextlib.contextmanager
def opened(profile):
  """A browser with a fresh profile; keeps what pages log."""
  from selenium import webdriver
  from selenium.webdriver.chrome.service import Service

  options = webdriver.ChromeOptions()
  options.binary_location = shutil.which("chromium")
  for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1200,900"):
    options.add_argument(flag)
  options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
  driver = webdriver.Chrome(
    options=options, service=Service(shutil.which("chromedriver"))
  )
  try:
    yield driver
  finally:
    driver.quit()
