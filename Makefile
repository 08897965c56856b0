# `make lab` to learn, `make test` to check, `make help` for the rest.
VENV := .venv
PY := $(VENV)/bin/python
# The first of these that is Python 3.11 to 3.13 and can make environments; choose another with `make PYTHON=...`
PYTHON ?= $(shell for p in python3 python3.12 python3.13 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=600 --nbval-sanitize-with=tests/nbval.cfg
JOBS ?= 2
# each process begins with its share and then takes from the end of another's: the browser tests, which come first, stay in one process
TWO_AT_A_TIME := -n $(JOBS) --dist worksteal
# small networks hardly use a second core: JOBS processes of one thread each do nearly JOBS times the work
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1
ARGS ?=
SEEDS ?= 0 1 2 3 4

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab doctor test test-fast lint unit test-notebooks lesson notebooks notebooks-check experiment experiments records teachers bit-widths embeddings colab-check lock benchmarks clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ready: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
	{ echo "Python 3.11, 3.12 or 3.13 with venv is needed (Debian, Ubuntu: apt-get install python3 python3-venv)"; exit 1; }
	@echo "Installing the locked packages into $(VENV), about 3 GB. This happens once and takes a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -r requirements.lock
	$(PY) -m pip install -q --no-deps -e .
	@touch $@

lab: $(VENV)/ready ## open the course in JupyterLab (ARGS=--no-browser for a server)
	$(VENV)/bin/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

doctor: $(VENV)/ready ## say what this machine has and what is missing
	@$(PY) -m kdcourse doctor

test: $(VENV)/ready ## run every check, the quickest first: lint, the notebooks' rules, unit and browser tests, all notebooks
	@times=; for part in lint notebooks-check unit test-notebooks; do \
	  began=$$(date +%s); $(MAKE) --no-print-directory $$part || exit 1; \
	  times="$$times$$(printf '%-17s%5d s' $$part $$(($$(date +%s) - began)))\n"; \
	done; printf "\n$$times"

test-fast: $(VENV)/ready lint notebooks-check ## the everyday checks, without notebooks, browser and training
	$(ONE_THREAD) $(PY) -m pytest $(TWO_AT_A_TIME) -m "not slow and not browser"

lint: $(VENV)/ready ## ruff
	$(VENV)/bin/ruff check .

unit: $(VENV)/ready ## all unit and browser tests, two at a time
	$(ONE_THREAD) $(PY) -m pytest $(TWO_AT_A_TIME) --durations=20

test-notebooks: $(VENV)/ready ## run every chapter once, with the exercises open and then solved, two at a time (ARGS=01_soft_labels for one)
	$(PY) tools/build_notebooks.py --tests $(ARGS)
	$(ONE_THREAD) $(PY) -m pytest -n $(JOBS) --dist loadscope $(NBVAL) $(or $(ARGS:%=build/test_notebooks/%.ipynb),build/test_notebooks)

lesson: $(VENV)/ready ## begin a chapter from the template (NAME=05_title, or NAME=05b_title for a deep dive)
	@$(PY) tools/new_lesson.py "$(NAME)"

notebooks: $(VENV)/ready ## build and execute the notebooks from lessons/ (ARGS=01_soft_labels for one)
	$(PY) tools/readme.py
	$(ONE_THREAD) $(PY) tools/build_notebooks.py -j $(JOBS) $(ARGS)

notebooks-check: $(VENV)/ready ## fail when a notebook does not come from its lesson or breaks a rule (ARGS=01_soft_labels for one)
	$(PY) tools/readme.py --check
	$(PY) tools/questions.py
	$(PY) tools/build_notebooks.py --check $(ARGS)
	$(PY) tools/rules.py $(ARGS)

experiment: $(VENV)/ready ## run an experiment: NAME=... SEEDS="5 6 7 8 9", RECORD=1 writes its record, REPLICATE=1 adds other seeds to it, JOBS=1 one seed at a time
	$(PY) tools/experiment.py "$(NAME)" --seeds "$(SEEDS)" --jobs $(JOBS) --record="$(RECORD)" --replicate="$(REPLICATE)"

experiments: $(VENV)/ready ## list the experiments and whether their records are current
	$(PY) tools/experiment.py --list

records: $(VENV)/ready ## run one seed of every record again (NAME=... for one), and tie those that agree to the code of their page
	$(PY) tools/experiment.py $(if $(NAME),"$(NAME)" --restamp,--restamp-all --jobs $(JOBS))

teachers: $(VENV)/ready ## train again what ships in data/teachers
	$(PY) tools/train_teachers.py

bit-widths: $(VENV)/ready ## record again what a network with rounded weights gets right, four minutes
	$(ONE_THREAD) $(PY) tools/bit_widths.py $(ARGS)

embeddings: $(VENV)/ready ## ask the text encoder again, 10 minutes for all (ARGS=r8 for one data set)
	$(PY) tools/embed_texts.py $(ARGS)

colab-check: $(VENV)/ready ## run the notebooks where Colab's versions are (PINS=file, PYTHON=python3.12)
	$(PY) tools/check_colab.py "$(PINS)" --python $(PYTHON)

lock: ## compile requirements.lock from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --extra lab --extra dev --no-header -q pyproject.toml -o requirements.lock

benchmarks: $(VENV)/ready ## time and memory of every notebook, latency of the explorers, cost of distillation, speed of pruned networks, the text case
	$(PY) benchmarks/notebooks.py
	$(PY) benchmarks/explorer_latency.py
	$(PY) benchmarks/distillation.py
	$(PY) benchmarks/pruned_speed.py
	$(PY) benchmarks/quantized_speed.py
	$(PY) benchmarks/text_case.py

clean: ## remove the environment and what was built beside the sources
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
