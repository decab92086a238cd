"""One engine and one server for all tests of this folder."""

import pytest
from oracles import endpoints, engines


@pytest.fixture(scope="package")
def tokenizer(tmp_path_factory):
  return endpoints.make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="package")
def engine():
  return engines.engine()


@pytest.fixture(scope="package")
def running(tokenizer, engine):
  with endpoints.running(tokenizer, engine) as found:
    yield found
