# `make demo` and `make test` do all their own set-up, once, in .venv.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python on the path that is new enough; `make PYTHON=/path/to/python demo` picks another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
JOBS ?= 2
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed

# uv installs in seconds what takes pip a minute and a half; it is told of pip's own index, which it does not read.
INSTALL := -c constraints.txt --no-build-isolation -e '.[dev]'
WITH_UV = { index=$${PIP_INDEX_URL:-$$($(RUN)/pip config get global.index-url 2>/dev/null)}; \
	$(RUN)/pip install -qq -c constraints.txt uv setuptools && \
	$${index:+env UV_DEFAULT_INDEX="$$index"} $(RUN)/uv pip install --python $(RUN)/python $(INSTALL) --no-progress \
	> $(VENV)/install.log 2>&1 && echo "  done: $$(grep -E '^ *Installed' $(VENV)/install.log)"; }
WITH_PIP = $(RUN)/pip install -c constraints.txt setuptools > $(VENV)/install.log 2>&1 && \
	$(RUN)/pip install $(INSTALL) --progress-bar off 2>&1 | tee -a $(VENV)/install.log \
	| awk '/^ *Downloading .*\(..+\.. MB\)/ { print "  " $$2; fflush() } /^Installing/ { print "  unpacking"; fflush() }'

# Compiled programs are kept between runs, so that a second `make test` spends its time on testing.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.3
# Nothing is fetched while anything runs, and XLA's notes to its own developers stay off the screen.
export HF_HUB_OFFLINE ?= 1
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint format install constraints clean

help:
	@echo "make demo     train a reward model and a policy, revise a draft; ends at runs/demo/report.html"
	@echo "make test     the tests (no network needed once installed)"
	@echo "make lint     ruff: style and import order; make format mends what it can"
	@echo "make install  only the set-up that the others do by themselves"
	@echo "make clean    remove .venv and .cache; runs/ stays"

# Linux: large pages. XLA takes the memory of each step afresh, and small ones cost a CPU time on first touch.
demo: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
demo: $(STAMP)
	@$(RUN)/jaxerm demo $(ARGS)

# Two processes: many tests wait for clocks and compilers rather than for a core. Files stay whole, they share fixtures.
test: $(STAMP)
	@$(RUN)/python -m pytest -q -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMP)
	@$(RUN)/ruff check . && $(RUN)/ruff format --check .

format: $(STAMP)
	@$(RUN)/ruff check --fix . && $(RUN)/ruff format .

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Name it: make PYTHON=/path/to/python" >&2; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): about 90 packages, once."
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	@$(WITH_UV) || { echo "  uv could not; pip, which is slower, takes over"; $(WITH_PIP); } \
		|| { tail -n 20 $(VENV)/install.log >&2; exit 1; }
	@touch $@

# Moves every pin: resolves the project anew in a scratch environment and prints what it found.
constraints:
	@rm -rf .cache/pins && $(PYTHON) -m venv .cache/pins
	@.cache/pins/bin/python -m pip install -q -e '.[dev,plan]' && .cache/pins/bin/python -m pip freeze --exclude-editable --all

clean:
	rm -rf $(VENV) .cache
