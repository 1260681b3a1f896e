# make setup   the pinned environment in .venv          make demo    the whole road on generated data
# make test    everything that CI runs                  make photos  the same on the real photographs of UNPEOPLED_SHARED
# make check   lint, types, format                      make lock    resolve requirements/*.in anew
# make why     what would run and why, SCALE=scales/...  make audit   whether what lies here is what was made
# make tune    thresholds from labelled photographs     make cifar10 published figures of CIFAR-10, on a GPU

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= 2
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup peers demo why audit photos tune cifar10 test test-slow check format lock clean

help:
	@sed -n 's/^# //p' Makefile | head -6

setup: $(STAMP)

$(STAMP): requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	touch $(STAMP)

peers: $(STAMP) # the programs that benchmarks/ measure against
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .venv-peers/beside-torch \
	  -r requirements/peers-beside-torch.txt

demo: $(STAMP)
	$(BIN)/snakemake --cores $(CORES) --configfile scales/demo.yaml

why: $(STAMP) # e.g. make why SCALE=scales/demo.yaml
	$(BIN)/python -m scripts.audit.why $(if $(SCALE),--configfile $(SCALE))

audit: $(STAMP)
	$(BIN)/snakemake --cores $(CORES) $(if $(SCALE),--configfile $(SCALE)) -- audit

photos: $(STAMP)
	$(BIN)/python -m tests.serve_photos --run -- $(BIN)/snakemake --cores $(CORES) --configfile scales/photos.yaml

tune: $(STAMP) # thresholds from the labelled photographs of UNPEOPLED_SHARED
	$(BIN)/snakemake --cores $(CORES) --configfile scales/labelled.yaml -- results/filter/tune_threshold/figures.json

cifar10: $(STAMP) # the check against published figures, on the tars of UNPEOPLED_SHARED; a GPU makes it an hour
	$(BIN)/snakemake --cores $(CORES) --configfile scales/cifar10.yaml -- encoders

test: $(STAMP) # a file's tests stay together, because they share what they made; each process computes with one thread
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --dist loadfile

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

lock: $(STAMP)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile requirements/dev.in --override requirements/override.txt --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock

clean:
	rm -rf results records logs .snakemake
