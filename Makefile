# quantd: one command each. `make help` lists them.
SHELL := /bin/bash
JOBS ?= $(shell nproc)

# ccache, where present, shares objects between presets and checkouts.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_SLOPPINESS := pch_defines,time_macros,include_file_mtime,include_file_ctime

# Repetitions and scale of `make bench`.
BENCH_FLAGS ?= --benchmark_min_time=0.2

.PHONY: help deps build test demo check-large bench bench-evaluation bench-methods asan tsan fuzz format format-check tidy clean

help:
	@echo "make demo    install what is missing, build, run the demo on the bundled model"
	@echo "make test    install what is missing, build, run all tests"
	@echo "make build   release binaries: build/quantd, build/quantctl"
	@echo "make check-large  a generated 1.1 B model through server and workers: memory"
	@echo "                  against bounds and forecasts (6 GB of disk, half an hour)"
	@echo "make bench-methods  every method on one model, into docs/methods.md"
	@echo "make bench-evaluation  perplexities, BLiMP, the likelihood suite and verdicts"
	@echo "                  of one model, into docs/evaluation.md"
	@echo "make bench   micro-benchmarks of kernels and submissions"
	@echo "make asan    all tests under the address and undefined-behaviour sanitizers"
	@echo "make tsan    all tests under the thread sanitizer"
	@echo "make fuzz    build the libFuzzer targets (clang) and run each for a minute"
	@echo "make format  clang-format; make tidy: clang-tidy"
	@echo "make clean   remove build/"

deps:
	@bash deploy/install_dependencies.sh

# Configures once; CMake reconfigures by itself when its files change.
build/%/build.ninja: CMakePresets.json | deps
	cmake --preset $*

build: deps build/release/build.ninja
	cmake --build build/release -j $(JOBS)
	@ln -sf release/quantd build/quantd
	@ln -sf release/quantctl build/quantctl

test: deps build/dev/build.ninja
	cmake --build build/dev -j $(JOBS)
	ctest --test-dir build/dev --output-on-failure --no-tests=error

demo: build
	@bash deploy/demo/demo.sh

bench-methods: deps build/dev/build.ninja
	cmake --build build/dev -j $(JOBS) --target methods_bench quantd quantctl
	build/dev/methods_bench $(BENCH_METHODS_FLAGS)

bench-evaluation: deps build/dev/build.ninja
	cmake --build build/dev -j $(JOBS) --target harness_bench quantd quantctl
	build/dev/harness_bench $(BENCH_EVALUATION_FLAGS)

check-large: deps build/dev/build.ninja
	cmake --build build/dev -j $(JOBS) --target large_check quantd quantctl
	build/dev/large_check $(CHECK_FLAGS)

bench: deps build/dev/build.ninja
	cmake --build build/dev -j $(JOBS)
	@for binary in build/dev/tests/benchmarks/*_benchmark; do \
	  echo "== $$(basename $$binary)"; $$binary $(BENCH_FLAGS) || exit 1; done

asan tsan: deps
	cmake --preset $@
	cmake --build build/$@ -j $(JOBS)
	ctest --test-dir build/$@ --output-on-failure --no-tests=error

fuzz: deps build/fuzz/build.ninja
	cmake --build build/fuzz -j $(JOBS)
	@for binary in build/fuzz/tests/fuzz/*_fuzzer; do \
	  name=$$(basename $$binary _fuzzer); mkdir -p build/fuzz/corpus/$$name; \
	  echo "== $$name"; \
	  $$binary -max_total_time=60 -rss_limit_mb=2048 build/fuzz/corpus/$$name \
	    tests/fuzz/corpus/$$name || exit 1; done

SOURCES = git ls-files '*.cc' '*.h'

format:
	$(SOURCES) | xargs clang-format -i

format-check:
	$(SOURCES) | xargs clang-format --dry-run --Werror

# What is shipped. The generated headers must exist; the findings of all files
# are shown before it fails.
tidy: deps build/dev/build.ninja
	cmake --build build/dev -j $(JOBS) --target quantd_grpc
	git ls-files '*.cc' ':!tests' | \
	  xargs -P $(JOBS) -n 4 clang-tidy -p build/dev --quiet

clean:
	rm -rf build
