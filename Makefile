# Two commands do everything on a machine with python3: `make run` and `make test`.
# uv is bootstrapped into .uv, the workspace into .venv; nothing else is touched.
# `make litellm` puts a server that some tests talk to into .litellm; without it they are skipped.

PYTHON ?= python3
VENV := .venv
UV := .uv/bin/uv
MEMBERS := core $(sort $(wildcard plugins/*))
INSTALLED := $(VENV)/.installed
RUN_READY := $(VENV)/.run-ready
LITELLM := .litellm
LITELLM_INSTALLED := $(LITELLM)/.installed
SOURCES := constraints.txt pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))

.PHONY: run test lint format bench chaos litellm litellm-constraints constraints clean

run: $(RUN_READY)
	$(VENV)/bin/chatrack serve

# Six at a time on any machine: process tests wait for leases and signals more than they compute.
# Bytecode is kept, whatever the environment says: hundreds of processes would compile everything anew.
test: $(INSTALLED)
	PYTHONDONTWRITEBYTECODE= $(VENV)/bin/pytest -n 6 --dist worksteal $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy core/src plugins/*/src

format: $(INSTALLED)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# All of them, even if one misses a target.
bench: $(INSTALLED)
	@code=0; for module in "bench $(BENCH_ARGS)" bench.stores bench.tokens bench.limits; do \
		$(VENV)/bin/python -m $$module || code=1; \
	done; exit $$code

chaos: $(INSTALLED)
	$(VENV)/bin/python -m tests.chaos $(CHAOS_ARGS)

litellm: $(LITELLM_INSTALLED)

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt uv

$(VENV)/bin/python: | $(UV)
	$(UV) venv --quiet --python $(PYTHON) $(VENV)

# What serving needs.
$(RUN_READY): $(SOURCES) | $(VENV)/bin/python
	$(UV) pip install --quiet --python $(VENV)/bin/python -c constraints.txt $(addprefix -e ,$(MEMBERS))
	@touch $@

# What the tests, the linters and the benchmarks need on top; compiled, for many processes start from it.
$(INSTALLED): $(RUN_READY)
	$(UV) pip install --quiet --compile-bytecode --python $(VENV)/bin/python -c constraints.txt $(addprefix -e ,$(MEMBERS)) --group dev
	@touch $@

# An environment of its own, for it pins other versions of what we use.
$(LITELLM_INSTALLED): tests/litellm/requirements.txt tests/litellm/constraints.txt | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(LITELLM)
	$(UV) pip install --quiet --python $(LITELLM)/bin/python -c tests/litellm/constraints.txt -r tests/litellm/requirements.txt
	@touch $@

# Raise the pins to what the ranges of the members allow today.
constraints: | $(VENV)/bin/python
	$(UV) pip install --quiet --upgrade --python $(VENV)/bin/python $(addprefix -e ,$(MEMBERS)) --group dev uv
	$(UV) pip freeze --python $(VENV)/bin/python --exclude-editable > constraints.txt

litellm-constraints: $(LITELLM_INSTALLED)
	$(UV) pip install --quiet --upgrade --python $(LITELLM)/bin/python -r tests/litellm/requirements.txt
	$(UV) pip freeze --python $(LITELLM)/bin/python > tests/litellm/constraints.txt

clean:
	rm -rf $(VENV) $(LITELLM) .uv .mypy_cache .ruff_cache .pytest_cache
