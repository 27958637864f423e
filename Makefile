# `make demo` and `make check` do all the set-up on a fresh machine with Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two tests at a time, each with one thread: what the slower half of today's laptops has cores for.
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope
JOBS ?= 2

.PHONY: demo check test faults cluster-test format install clean

install: $(READY)

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/nowt ablate rules_on_digits
	$(BIN)/nowt report rules_on_digits --out figures
	@echo
	@echo "What it can show: whether fixed random feedback (fa) falls behind, and which layers of which rule align with backprop."
	@echo "What it cannot: an order among bp, ss, wm and kp. Digits are easy, the net is small, and three seeds leave wide intervals."
	@echo "Figures: figures/curves.png and figures/alignment.png. Every run in MLflow: $(BIN)/nowt ui"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(TEST)

test: $(READY)
	$(TEST)

# Real kills 20 times each, every other fault 3 times, and 100,000 simulated schedules: some three hours on 2 cores (the
# 131 kills and faults, two at a time, take two, of which the 29 of shared runs 38 minutes; the schedules nearly one).
faults: $(READY)
	NOWT_KILLS=20 NOWT_FAULTS=3 $(TEST) --dist load --maxschedchunk 1 tests/faults
	NOWT_SCHEDULES=100000 $(TEST) tests/test_search_simulated.py

# Hosts and a laptop on this machine, each with a network, processes and files of its own, and a real `ray up`, on premise
# and to a stand-in for AWS; hosts are cut off and killed. Ten to fifteen minutes; `make check` does the first minute.
# Needs root, and Debian's iproute2, nftables, openssh-server and rsync; else says so.
cluster-test: $(READY)
	NOWT_CLUSTER=1 $(TEST) tests/cluster

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv figures runs .mypy_cache .ruff_cache .pytest_cache
