import pathlib

import pytest
from oracles import buckets

from qsharp_jax.core import digests, files, places
from qsharp_jax.core.errors import InputError


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  return buckets.use(tmp_path / "cloud", monkeypatch)


def test_a_local_path_is_pathlibs_with_its_home_expanded(monkeypatch):
  monkeypatch.setenv("HOME", "/home/ann")
  assert places.path("~/runs") == pathlib.Path("/home/ann/runs")
  assert places.path(pathlib.Path("a/b")) == pathlib.Path("a/b")
  assert places.path("file:///a/b c") == pathlib.Path("/a/b c")
  # Nothing but a scheme and a slash makes a path foreign.
  assert places.path("a:b/c") == pathlib.Path("a:b/c")


@pytest.mark.parametrize(
  ("path", "says"),
  [
    ("hdfs://host/run", "hdfs:// is not read here"),
    ("https://host/run", "gs:// or s3://"),
    ("az://box/run", "az:// is not read here"),
    ("gs:/bucket/run", "gs://"),
    ("GS://bucket/run", "gs://"),
  ],
)
def test_what_cannot_be_read_is_refused_by_name(path, says):
  with pytest.raises(InputError, match=says):
    places.path(path)


def test_a_missing_package_is_named(monkeypatch):
  places._prepare.cache_clear()
  monkeypatch.setattr(places.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(InputError, match=r"gcsfs; install qsharp-jax\[gs\]"):
    places.path("gs://bucket/run")
  places._prepare.cache_clear()


def test_an_absolute_bucket_stays_one(bucket, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert str(places.absolute("gs://bucket/run")) == "gs://bucket/run"
  assert places.absolute("run") == tmp_path / "run"
  assert not (tmp_path / "gs:").exists()


def test_files_are_replaced_in_a_bucket(bucket):
  files.replace("gs://bucket/run/a.json", '\ufeff{"a": 1}')
  assert files.read_json("gs://bucket/run/a.json") == {"a": 1}
  files.replace("gs://bucket/run/a.json", "[]")
  assert (bucket / "run" / "a.json").read_text() == "[]"
  assert [path.name for path in (bucket / "run").iterdir()] == ["a.json"]


def test_removes_files_and_folders_that_are_there_or_not(bucket, tmp_path):
  for root in (tmp_path, places.path("gs://bucket")):
    files.replace(root / "run" / "deep" / "a", "x")
    files.replace(root / "run" / "b", "x")
    places.remove(root / "run" / "b")
    places.remove(root / "run" / "b")
    assert not (root / "run" / "b").exists()
    places.remove(root / "run")
    assert not (root / "run").exists()


def test_a_copy_is_made_once_and_again_after_a_change(bucket):
  files.replace("gs://bucket/m/config.json", "{}")
  files.replace("gs://bucket/m/deep/a", "x")
  copy = places.local("gs://bucket/m")
  assert (copy / "deep" / "a").read_text() == "x"
  assert places.local("gs://bucket/m") == copy
  files.replace("gs://bucket/m/deep/a", "longer")
  again = places.local("gs://bucket/m")
  assert (again / "deep" / "a").read_text() == "longer"
  assert not copy.exists()


def test_a_change_of_the_same_size_and_second_shows_by_its_digests(bucket):
  for content in ("x", "y"):
    with places.written(places.path("gs://bucket/m")) as folder:
      (folder / "a").write_text(content)
      digests.write(folder)
    assert (places.local("gs://bucket/m") / "a").read_text() == content


def test_a_file_alone_is_copied_too(bucket, tmp_path):
  files.replace("gs://bucket/a.txt", "x")
  assert places.local("gs://bucket/a.txt").read_text() == "x"
  assert places.local(tmp_path) == tmp_path


def test_what_says_that_the_others_are_there_goes_last(
  bucket, tmp_path, monkeypatch
):
  folder, order = tmp_path / "model", []
  folder.mkdir()
  for name in ("config.json", "model.safetensors", "digests.json", "a"):
    (folder / name).write_text(name)
  open_, of = buckets.Folder.open, lambda path: path.rpartition("/")[2]
  monkeypatch.setattr(
    buckets.Folder,
    "open",
    lambda self, path, mode: order.append(of(path)) or open_(self, path, mode),
  )
  places.upload(folder, places.path("gs://bucket/m"))
  assert order == ["a", "model.safetensors", "config.json", "digests.json"]
  assert (bucket / "m" / "a").read_text() == "a"


def test_damage_is_named_where_the_original_is(bucket):
  with places.written(places.path("gs://bucket/m")) as folder:
    (folder / "a").write_text("abc")
    digests.write(folder)
  (bucket / "m" / "a").write_text("abd!")
  with pytest.raises(InputError, match="^gs://bucket/m/a is not .* delete gs"):
    digests.check(places.local("gs://bucket/m"))


def test_digests_of_more_files_join_the_others(bucket):
  place = places.path("gs://bucket/m")
  for name in ("a", "b"):
    with places.written(place) as folder:
      (folder / name).write_text(name)
      digests.write(folder, beside=place if name == "b" else None)
  assert set(files.read_json(place / digests.NAME)) == {"a", "b"}
  digests.check(places.local(place))


NAMES = ["a\0b", "x" * 300, "a/" * 3000, "\ud800", "gs://bucket/" + "y" * 300]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_what_can_be_no_name_is_refused_in_one_line(name):
  with pytest.raises(InputError, match="is no path: it is too long") as error:
    places.path(name)
  assert len(str(error.value)) < 400


@pytest.mark.parametrize(
  "name", ["ünï cødé 数学", "-x", "a\nb", "*", "$HOME", "\udcff", " ", "a:b"]
)
def test_odd_names_are_names(name, tmp_path):
  files.replace(places.path(tmp_path / name) / "a.json", "{}")
  assert files.read_json(places.absolute(tmp_path / name) / "a.json") == {}
