"""Buckets that are folders: an object appears whole, a folder is but a name."""

import io
import os
import shutil

import fsspec
from etils.epath import backend

from qsharp_jax.core import places


class Folder(fsspec.AbstractFileSystem):
  """A store of objects as its clients see it, in a folder `root`."""

  protocol = ("gs", "gcs", "s3")
  root = ""

  @classmethod
  def _strip_protocol(cls, path):
    text = os.fspath(path).rpartition("://")[2]
    return text.removeprefix(cls.root).strip("/")

  def _local(self, path):
    return f"{self.root}/{self._strip_protocol(path)}"

  def info(self, path, **_):
    name = self._local(path)
    is_folder = os.path.isdir(name)
    if is_folder and not any(os.scandir(name)):
      raise FileNotFoundError(path)  # nothing is called so
    status = os.stat(name)
    return {
      "name": self._strip_protocol(path),
      "size": status.st_size,
      "type": "directory" if is_folder else "file",
      "mtime": status.st_mtime,
    }

  def ls(self, path, detail=False, **_):
    names = sorted(os.listdir(self._local(path)))
    names = [f"{self._strip_protocol(path)}/{name}" for name in names]
    return [self.info(name) for name in names] if detail else names

  def isdir(self, path):
    return self.exists(path) and self.info(path)["type"] == "directory"

  def isfile(self, path):
    return self.exists(path) and self.info(path)["type"] == "file"

  def exists(self, path, **_):
    try:
      self.info(path)
    except OSError:
      return False
    return True

  def mkdir(self, path, **_):
    """An empty folder cannot be."""

  def makedirs(self, path, exist_ok=False):
    """An empty folder cannot be."""

  def rm(self, path, recursive=False, maxdepth=None):
    if recursive:
      shutil.rmtree(self._local(path))
    else:
      self.rm_file(path)

  def rm_file(self, path):
    os.remove(self._local(path))

  def mv(self, path1, path2, **_):
    os.renames(self._local(path1), self._local(path2))

  def open(self, path, mode="rb", **_):
    if "r" in mode:
      file = open(self._local(path), "rb")  # noqa: SIM115
    else:
      file = _Upload(self._local(path))
    return file if "b" in mode else io.TextIOWrapper(file, encoding="utf-8")


class _Upload(io.BytesIO):
  """An object that is there once it is closed."""

  def __init__(self, path):
    super().__init__()
    self._path = path

  def close(self):
    if not self.closed:
      os.makedirs(os.path.dirname(self._path), exist_ok=True)
      partial = f"{self._path}.uploading"
      with open(partial, "wb") as file:
        file.write(self.getvalue())
      os.replace(partial, self._path)
    super().close()


def use(root, monkeypatch):
  """Lets gs:// and s3:// lead into a folder; returns that of the bucket."""
  (root / "bucket").mkdir(parents=True)
  (root / "bucket" / "other").write_text("so that there is a bucket")
  monkeypatch.setattr(Folder, "root", str(root))
  system = Folder(skip_instance_cache=True)
  monkeypatch.setattr(
    backend._FileSystemSpecBackend, "_get_filesystem", lambda self, name: system
  )
  monkeypatch.setattr(places, "_prepare", lambda scheme: None)
  return root / "bucket"
