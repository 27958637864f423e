# `make demo` and `make check` first install the environment if necessary. They need Python 3.11 or 3.12, and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Modules are compiled when they are first imported: most of the 24,000 never are. This also holds where Python is told to
# write no bytecode; otherwise every process compiles all that it imports, which takes 15 s for a worker of Ray.
export PYTHONDONTWRITEBYTECODE =
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# Two tests at a time with one thread each, for machines with two cores: three overload the start of Ray.
# Each of them gets a module at a time, in the order of tests/support/long_modules.py.
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder
JOBS ?= 2

.PHONY: demo check types test test-fast bench faults cluster-test format install clean

install: $(READY)

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/nowt ablate rules_on_digits
	$(BIN)/nowt report rules_on_digits --out figures
	@echo
	@echo "This shows whether fixed random feedback (fa) falls behind, and which layers of each rule align with backprop."
	@echo "It does not rank bp, ss, wm and kp: digits are easy, the network is small, and intervals over three seeds are wide."
	@echo "Figures: figures/curves.png and figures/alignment.png. To browse all runs in MLflow: $(BIN)/nowt ui"

# Types are checked while the tests run, because mypy uses one core only. Either failure fails this target at the end.
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory --jobs 2 types test

types: $(READY)
	@$(BIN)/mypy || { echo "mypy found the type errors above: make check fails, although the tests continue" >&2; exit 1; }

test: $(READY)
	$(TEST)

# Three quarters of the tests in less than a third of the time: without the modules that start Ray, MLflow, browsers or
# other machines, and without long trainings and certificates.
test-fast: $(READY)
	$(TEST) -m "not long"

# Repeats each kill 20 times and each other fault 3 times, simulates 100,000 schedules, and spoils 2,000 stores. This takes
# about three hours on 2 cores: two for the 131 kills and faults (38 minutes of it for the 29 with several workers), nearly
# one for the schedules, a minute for the stores.
faults: $(READY)
	NOWT_KILLS=20 NOWT_FAULTS=3 $(TEST) --dist load --maxschedchunk 1 tests/faults
	NOWT_SCHEDULES=100000 $(TEST) tests/studies/search/test_simulated.py
	NOWT_EXAMPLES=2000 $(TEST) tests/security/test_property.py

# Simulates several hosts on this machine (network namespaces) and runs a real `ray up` on them, on premise and against a
# simulated AWS, with network partitions, crashes and node loss. It takes 10 to 15 minutes; `make check` runs the first
# minute. It needs root and Debian's iproute2, nftables, openssh-server and rsync, and fails with a message otherwise.
cluster-test: $(READY)
	NOWT_CLUSTER=1 $(TEST) tests/hosts

# Runs the benchmarks beside their peers, about an hour on two cores, and writes docs/performance.md. IMAGES=FOLDER adds
# image loading, from a folder of JPEG files.
bench: $(READY)
	$(BIN)/python benchmarks/performance.py $(if $(IMAGES),--images $(IMAGES))

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv figures runs .mypy_cache .ruff_cache .pytest_cache
