# `make help` lists the targets. Everything runs in .venv, which is made from pyproject.toml on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NATIVE := $(VENV)/.native
C_FILES := $(wildcard wasihost/native/*.[ch] generated/*/*.[ch])
PREVIEW1 := witx/preview1/wasi_snapshot_preview1.witx
PREVIEW0 := witx/preview0/wasi_unstable.witx

.DEFAULT_GOAL := help
.PHONY: help setup native format generate check-spec lint types imports drift check guests test docs demo bench bench-check bench-docs bench-shapes bench-ends bench-isolation testsuite go-tests suites rust languages nn packages cluster escape storm sanitize fuzz differential plain-differential soak interrupts wheel spelling site coverage browser clean

help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(NATIVE)  ## Make .venv with everything that development needs (the other targets do it themselves)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	WASIHOST_PURE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable . --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --group guests
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib wasihost generated codegen || true  # some that are installed are no Python
	touch $(READY)

native: $(NATIVE)  ## Build the extension again if its C files have changed (setup and the targets that run guests do it too)

$(NATIVE): $(READY) codegen/hatch_build.py $(C_FILES)
	$(BIN)/python codegen/hatch_build.py
	touch $(NATIVE)

WITX ?= witx
witx_file = $(or $(firstword $(wildcard $(foreach in,$(1) $(1)/witx legacy/$(1)/witx,$(WITX)/$(in)/$(2).witx))),$(error there is no $(1)/$(2).witx in "$(WITX)": give a folder laid out as witx/ is, or a checkout of WebAssembly/WASI, with WITX=DIR))
generate: $(READY)  ## Write generated/ from the .witx files (WITX=DIR: from those in another folder)
	$(BIN)/python -m witxgen generate $(call witx_file,preview1,wasi_snapshot_preview1) -o generated --package wasi_preview1
	$(BIN)/python -m witxgen generate $(call witx_file,preview0,wasi_unstable) -o generated --package wasi_preview0

check-spec: $(READY)  ## Compare witx/ with an official copy, declaration by declaration: make check-spec OFFICIAL=DIR
	$(BIN)/python -m witxgen.compare witx $(if $(OFFICIAL),$(OFFICIAL),$(error say where the official copy is: make check-spec OFFICIAL=DIR; git clone --branch wasi-0.1 https://github.com/WebAssembly/WASI DIR gets it))

lint: $(READY)  ## Check the style: ruff check and ruff format, clang-format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)

format: $(READY)  ## Give all code the style that lint checks
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_FILES)

spelling: $(READY)  ## Check the spelling in code and text
	$(BIN)/codespell

types: $(READY)  ## Check the types: mypy --strict over everything
	$(BIN)/mypy

imports: $(READY)  ## Check that imports go in one direction only
	$(BIN)/lint-imports

drift: $(READY)  ## Check that generated/ is what the generator writes; prints a diff
	$(BIN)/python -m witxgen generate --check $(PREVIEW1) -o generated --package wasi_preview1
	$(BIN)/python -m witxgen generate --check $(PREVIEW0) -o generated --package wasi_preview0

check: lint spelling types imports drift  ## All of these checks: they must pass at every commit, as the tests must

guests: $(READY)
	$(BIN)/python -m tests.support.guests

WORKERS ?= 2
PURE_TESTS := tests/raw $(addprefix tests/engines/test_,bindings.py ends.py instance.py profiler.py)
.PHONY: collect
collect: $(READY)
	$(BIN)/python -m pytest --collect-only -qq >/dev/null

test: $(NATIVE)  ## Run all tests in two processes (WORKERS=N), then those that must run alone, and some without the extension
	$(MAKE) --no-print-directory -j2 types collect guests check
	status=0; \
	$(BIN)/python -m pytest -m "not alone" -n $(WORKERS) --dist loadfile --no-loadscope-reorder || status=$$?; \
	$(BIN)/python -m pytest -m alone tests/storms || status=$$?; \
	WASIHOST_PURE=1 $(BIN)/python -m pytest -m "not alone" -n $(WORKERS) --dist loadfile $(PURE_TESTS) || status=$$?; \
	[ $$status = 0 ] || echo "tests failed: the short summaries above name them"; exit $$status

coverage: $(NATIVE)  ## Run the tests and list lines that they do not reach; fails below the floor in pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group coverage
	$(BIN)/python -m pytest -m "not alone" -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		--deselect tests/engines/test_ends.py::test_a_signal_at_any_moment_stays_inside \
		--cov --cov-report=term:skip-covered --cov-report=html:build/coverage

docs: $(NATIVE)  ## Write docs/errnos.md from the table of the conformance tests
	$(BIN)/python -m tests.conformance docs

site: $(NATIVE) spelling  ## Build the documentation as a site in build/site; warnings are errors
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group site
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs build/site

demo: $(NATIVE)  ## Compile a small C program and run it with a preopened folder
	$(BIN)/python tests/demo/demo.py

bench: $(NATIVE)  ## Measure ns per call of this host, wasmtime's own WASI, node:wasi, Linker.define_func and an empty callback; sleeps; an echo server
	$(BIN)/python -m tests.bench

bench-docs: $(NATIVE)  ## The same; writes the numbers into docs/ and the README: on a machine that does nothing else
	$(BIN)/python -m tests.bench --docs

bench-shapes: $(NATIVE)  ## Measure other forms of the generated stubs: why they look as they do
	$(BIN)/python tests/bench/stub_shapes.py

testsuite: $(NATIVE)  ## Run the public wasi-testsuite on this host: make testsuite SUITE=DIR (THROUGH=hooks: through hooks that change nothing; ENGINE=pywasm: on that engine)
	$(BIN)/python -m tests.testsuite $(if $(THROUGH),--through $(THROUGH)) $(if $(ENGINE),--engine $(ENGINE) --timeout 300) $(if $(SUITE),$(SUITE),$(error say where it is: make testsuite SUITE=DIR; git clone --branch prod/testsuite-base https://github.com/WebAssembly/wasi-testsuite DIR gets it))

go-tests: $(NATIVE)  ## Run Go's own tests of files on wasmtime's WASI and on this host, and tests with an HTTP server in Go
	$(BIN)/python -m tests.suites go
	$(BIN)/python -m pytest tests/toolchains/go_http.py

suites: go-tests  ## The same with Zig's and CPython's own tests too (needs a Python on this machine that has its tests)
	$(BIN)/python -m tests.suites zig cpython

rust: $(NATIVE)  ## Run tests with a guest in Rust (needs rustc with WASI's standard library; Debian: rustc libstd-rust-dev-wasm32 lld)
	$(BIN)/python -m pytest tests/toolchains/rust.py

languages: $(NATIVE)  ## Run the examples for Rust and AssemblyScript in docs/guests.md (needs rustc; npm fetches the other compiler)
	$(BIN)/python -m pytest tests/docs/languages.py

nn: $(NATIVE)  ## Run the examples of docs/wasi-nn.md, also those over ONNX Runtime, which it installs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group nn
	$(BIN)/python -m pytest tests/docs/neural.py

INPUTS ?= 10000
cluster: $(NATIVE)  ## Map a module over many inputs on a Dask cluster of processes, one of which is killed half-way (INPUTS=N)
	$(BIN)/python -m tests.scale.cluster --inputs $(INPUTS)

packages: $(NATIVE)  ## Build wheels of five published modules, install each in a clean environment, and run it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --group packages
	$(BIN)/python -m pytest tests/packaging/published.py

browser: $(NATIVE)  ## Run the tests of the page of a profile in a real browser (needs Chromium; Debian: chromium); screenshots in build/browser
	$(BIN)/python -m pytest tests/browser/page.py

bench-ends: $(NATIVE)  ## Measure how soon timeouts and Ctrl-C end a guest, and what that costs a guest that is not ended
	$(BIN)/python -m tests.bench.ends

bench-isolation: $(NATIVE)  ## Measure how long a guest in a process of its own takes to start
	$(BIN)/python -m tests.bench.isolation

SECONDS ?= 60
escape: $(NATIVE)  ## A guest tries to leave its folder while other processes swap files and links: a minute of races (ENGINE=pywasm: on that engine)
	$(BIN)/python -m tests.escape --seconds $(SECONDS) $(if $(ENGINE),--engine $(ENGINE))

storm: $(NATIVE)  ## Stress runs: signals, forks, threads, cancellations, few descriptors, a full disk, kill -9 (SECONDS=N in all)
	$(BIN)/python -m tests.storms --seconds $(SECONDS)

sanitize: $(NATIVE)  ## Run the tests of stubs and handlers on an extension compiled with ASan and UBSan (needs gcc)
	$(BIN)/python -m tests.native.sanitize

MINUTES ?= 5
fuzz: $(NATIVE)  ## Run random calls, scripts and modules with new inputs for some minutes (MINUTES=N)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

SCRIPTS ?= 2000
differential: $(NATIVE)  ## Compare random scripts of calls on this host and on wasmtime's own WASI; differences are reduced (SCRIPTS=N)
	$(BIN)/python -m tests.differential --scripts $(SCRIPTS)

CALLS ?= 2000000
plain-differential: $(NATIVE)  ## Compare random calls that C does without the GIL with those of the Python handlers (CALLS=N)
	$(BIN)/python -m tests.native.plain_scripts --calls $(CALLS)

soak: $(NATIVE)  ## 10,000 runs in one process: memory, descriptors, threads and mappings must not grow
	$(BIN)/python -m tests.process.soak

RUNS ?= 20000
interrupts: $(NATIVE)  ## 20,000 runs, each interrupted by a signal handler that raises, in all kinds of waits (RUNS=N)
	$(BIN)/python -m tests.process.interrupts --runs $(RUNS)

wheel: $(READY)  ## Build the wheel and the source distribution into dist/
	$(BIN)/python -m build --quiet

.PHONY: wheels
PYTHONS ?= python3.11 python3.12
wheels: $(READY)  ## Build all that a release uploads into dist/: wheels for Linux and macOS, inspected (PYTHONS="a 3.11, and a later one")
	rm -rf dist
	$(BIN)/python codegen/wheels.py $(PYTHONS)

clean:  ## Remove everything that the targets made
	rm -rf wasihost/native/_native*.so $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
