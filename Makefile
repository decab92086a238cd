# Two commands are all that is needed on a fresh machine: `make gsm8k` and
# `make test`. PYTHON chooses the interpreter, VENV where it is installed.
PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/gsm8k-tiny
FLAGS ?=
RUN = $(VENV)/bin/python
# Huge pages for temporaries: fewer page faults, where the C library is glibc.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: install install-test gsm8k test lint clean

# Installed again when the list of packages changes.
install: $(VENV)/installed
$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .
	touch $@

# Gigabytes that no run needs: PyTorch to compare with, the TPU's compiler.
install-test: $(VENV)/installed-test
$(VENV)/installed-test: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[test,parity]'
	touch $@

gsm8k: install
	$(RUN) -m experiments.gsm8k --workdir=$(WORKDIR) $(FLAGS)

# Compilers and tracing take and free small pieces: what was freed is kept.
KEPT = 1073741824
MALLOC = glibc.malloc
KEEP = $(MALLOC).mmap_threshold=$(KEPT):$(MALLOC).trim_threshold=$(KEPT)
test: export GLIBC_TUNABLES = $(MALLOC).top_pad=67108864:$(KEEP)
test: lint
	$(RUN) -m pytest --durations=25

lint: install-test
	$(RUN) -m ruff check . && $(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) runs build .pytest_cache *.egg-info
