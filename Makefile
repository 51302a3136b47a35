# Two commands do everything on a machine with python3: `make run` and `make test`.
# uv is bootstrapped into .uv, the workspace into .venv; nothing else is touched.
# `make litellm` and `make azurite` put servers that some tests talk to into .litellm and .azurite; without them these
# are skipped.

PYTHON ?= python3
VENV := .venv
UV := .uv/bin/uv
MEMBERS := core $(sort $(wildcard plugins/*))
INSTALLED := $(VENV)/.installed
RUN_READY := $(VENV)/.run-ready
LITELLM := .litellm
LITELLM_INSTALLED := $(LITELLM)/.installed
AZURITE := .azurite
AZURITE_VERSION := 3.37.0
AZURITE_INSTALLED := $(AZURITE)/.installed-$(AZURITE_VERSION)
SOURCES := constraints.txt pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))

SUPPLY := .supply
SUPPLY_INSTALLED := $(SUPPLY)/.installed

.PHONY: run test lint format bench chaos fuzz audit sbom litellm litellm-constraints azurite constraints clean

# No request to where a secret might belong.
SECRETS := $(VENV)/bin/detect-secrets-hook --no-verify
# Samples in docs, the database that compose.yaml makes for itself, entry points, and codes of errors.
NO_SECRETS := ^(password|chatrack|authentication|ApiKeysAuthPlugin)$$|chatrack\.builtin\.
# The tests' own keys and passwords are made up: there, what is only called a secret is none, but what has the form of
# a real one is.
MADE_UP := --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector

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
	$(VENV)/bin/bandit --quiet --configfile pyproject.toml --recursive core/src $(wildcard plugins/*/src)
	git ls-files -z -- . ':!tests' ':!bench' | xargs -0 $(SECRETS) --exclude-secrets '$(NO_SECRETS)'
	git ls-files -z -- tests bench | xargs -0 $(SECRETS) $(MADE_UP)

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

# Into the tests' environment, because it runs their servers.
fuzz: $(INSTALLED)
	$(UV) pip install --quiet --python $(VENV)/bin/python -c constraints.txt --group fuzz
	$(VENV)/bin/python -m tests.fuzz $(FUZZ_ARGS)

# The pins against the advisories that are published; needs a network.
audit: $(SUPPLY_INSTALLED) $(VENV)/bin/python
	$(VENV)/bin/python -m tests.supply.audit $(SUPPLY)/bin/pip-audit

# What a server is made of, as CycloneDX: an environment without the tools of developers is installed for it.
sbom: $(SUPPLY_INSTALLED)
	$(UV) venv --quiet --clear --python $(PYTHON) $(SUPPLY)/serving
	$(UV) pip install --quiet --python $(SUPPLY)/serving/bin/python -c constraints.txt $(MEMBERS:%=./%)
	$(SUPPLY)/bin/cyclonedx-py environment --output-reproducible --of JSON -o sbom.json $(SUPPLY)/serving/bin/python
	@echo "wrote sbom.json"

litellm: $(LITELLM_INSTALLED)

azurite: $(AZURITE_INSTALLED)

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

# Needs npm, with Node.js 18 or later.
$(AZURITE_INSTALLED):
	rm -rf $(AZURITE)
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(AZURITE) azurite@$(AZURITE_VERSION)
	@touch $@

$(SUPPLY_INSTALLED): constraints.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(SUPPLY)
	$(UV) pip install --quiet --python $(SUPPLY)/bin/python -c constraints.txt --group supply
	@touch $@

# Raise the pins to what the ranges of the members allow today.
constraints: | $(VENV)/bin/python
	$(UV) pip install --quiet --upgrade --python $(VENV)/bin/python $(addprefix -e ,$(MEMBERS)) --group dev --group fuzz --group supply uv
	$(UV) pip freeze --python $(VENV)/bin/python --exclude-editable > constraints.txt

litellm-constraints: $(LITELLM_INSTALLED)
	$(UV) pip install --quiet --upgrade --python $(LITELLM)/bin/python -r tests/litellm/requirements.txt
	$(UV) pip freeze --python $(LITELLM)/bin/python > tests/litellm/constraints.txt

clean:
	rm -rf $(VENV) $(LITELLM) $(AZURITE) $(SUPPLY) sbom.json .hypothesis .uv .mypy_cache .ruff_cache .pytest_cache
