"""Settings of the whole test run, made before the first array exists."""

import gc
import os
import pathlib

import jax
import pytest

# Long modules first, so that no worker is left alone with one at the end.
HEAVY = (
  "integration/test_gsm8k.py",
  "integration/test_star_graph.py",
  "integration/test_abstention.py",
  "integration/test_local.py",
  "integration/test_methods.py",
  "integration/test_other_questions.py",
  "integration/test_import_by_two.py",
  "launch/test_launch_local.py",
)

MOST_PAGES = 3 * 2**30 // os.sysconf("SC_PAGE_SIZE")

# Rooms whose tests let no array gain an axis, and no type be widened, unsaid.
EXACT = {"core", "ops", "models", "sharding", "generate", "rewards", "data"}
# Optax widens types, and with it all training.
EXACT_RANKS = EXACT | {"training"}
TRAINING = {"test_depth.py", "test_layout.py"}

# Programs run once or twice here: compiling them well costs more than it
# saves (most of it the emitters of fused loops), and the workers are the
# parallelism. tests/integration/test_gsm8k.py takes these flags out, so that
# one whole run is as a user has it.
FAST_COMPILATION = [
  "--xla_backend_optimization_level=0",
  "--xla_cpu_multi_thread_eigen=false",
  "--xla_cpu_parallel_codegen_split_count=1",
  "--xla_cpu_prefer_vector_width=128",
]
# Later compilers know nothing else, and end a process over such a flag.
if tuple(map(int, jax.lib.__version__.split(".")[:2])) < (0, 11):
  FAST_COMPILATION.append("--xla_cpu_use_fusion_emitters=false")
for flag in FAST_COMPILATION:
  if flag.partition("=")[0] not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
# Eight devices on one CPU, so that sharding is exercised wherever tests run.
if "host_platform_device_count" not in os.environ["XLA_FLAGS"]:
  jax.config.update("jax_num_cpu_devices", 8)


def pytest_configure(config):
  gc.set_threshold(50_000)  # as in experiments/harness/console.py
  # Our own warnings are errors; those of dependencies are theirs.
  config.addinivalue_line("filterwarnings", r"error:::qsharp_jax(\.|$)")
  _keep_programs(config.rootpath / ".pytest_cache")


def _keep_programs(folder: pathlib.Path) -> None:
  """Keeps compiled programs for other workers, processes and later runs.

  A program's key is a hash of its instructions, the flags and the compiler's
  version: changed code is compiled anew.
  """
  versions = f"{jax.__version__}-{jax.lib.__version__}"
  settings = {
    "jax_compilation_cache_dir": str(folder / f"compiled-{versions}"),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
  }
  for name, value in settings.items():
    # Processes that tests start share them.
    os.environ.setdefault(name.upper(), str(value))
    jax.config.update(name, type(value)(os.environ[name.upper()]))


def pytest_collection_modifyitems(items):
  """Moves the modules of `HEAVY` to the front, in that order."""
  rank = {name: i for i, name in enumerate(HEAVY)}
  place = lambda item: rank.get("/".join(item.path.parts[-2:]), len(HEAVY))
  items.sort(key=place)


@pytest.fixture(autouse=True)
def _exact(request):
  """Lets jax complete neither shapes nor types where a room says all."""
  room, name = request.path.parent.name, request.path.name
  types = "strict" if room in EXACT and name not in TRAINING else "standard"
  ranks = "raise" if room in EXACT_RANKS else "allow"
  with jax.numpy_dtype_promotion(types), jax.numpy_rank_promotion(ranks):
    yield


@pytest.fixture(autouse=True, scope="module")
def _forgotten():
  """Frees programs of earlier modules: a worker that kept all takes 6 GB."""
  yield
  memory = pathlib.Path("/proc/self/statm")  # in pages; not on every system
  if memory.exists() and int(memory.read_text().split()[1]) > MOST_PAGES:
    jax.clear_caches()


@pytest.fixture(params=["eager", "jit"])
def staged(request):
  """Runs a test twice: with functions as they are, and compiled.

  Results come as numpy arrays: taking a jax array apart compiles programs.
  """

  def stage(function):
    run = jax.jit(function) if request.param == "jit" else function
    return lambda *arguments: jax.device_get(run(*arguments))

  return stage
