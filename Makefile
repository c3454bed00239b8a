# The front door. Meson does the work; this file only knows which of its commands a person wants.
#   make demo    install what is missing, build, run the A/B on the embedded model, show the report
#   make test    build and run every test
#   make         build        make install   (PREFIX=/usr/local)
#   make check   direction of #includes, formatting, file lengths, the corpus
#   make asan    the same tests under AddressSanitizer and UBSan      make tsan   under ThreadSanitizer
#   make fuzz    every fuzzer for FUZZ_SECONDS (default 60)           make bench  build the benchmarks
# OPTIONS has further options of meson_options.txt: make OPTIONS=-Dgpu_arch=86
BUILD        ?= build
PREFIX       ?= /usr/local
OPTIONS      ?=
FUZZ_SECONDS ?= 60
MODEL        ?= models/demo.gguf

.PHONY: all demo test check asan tsan fuzz bench install deps deps-test clean

all: deps
	@tools/configure $(BUILD) --buildtype=release --prefix=$(PREFIX) $(OPTIONS)
	@ninja -C $(BUILD)

demo: all
	@tools/demo $(BUILD)/src/cli/seesaw $(MODEL)

test: deps-test
	@tools/configure $(BUILD) --buildtype=release --prefix=$(PREFIX) $(OPTIONS)
	@ninja -C $(BUILD)
	@tools/run_tests $(BUILD) --timeout-multiplier 4

check:
	@tools/check_includes
	@tools/check_style

asan: deps-test
	@tools/configure $(BUILD)-asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false $(OPTIONS)
	@ninja -C $(BUILD)-asan
	@UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 tools/run_tests $(BUILD)-asan --timeout-multiplier 6

tsan: deps-test
	@tools/configure $(BUILD)-tsan --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false $(OPTIONS)
	@ninja -C $(BUILD)-tsan
	@TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 tools/run_tests $(BUILD)-tsan --timeout-multiplier 10

fuzz: deps-test
	@CC=clang tools/configure $(BUILD)-fuzz --buildtype=debugoptimized -Dfuzz=true -Db_lundef=false
	@ninja -C $(BUILD)-fuzz
	@tools/run_fuzzers $(BUILD)-fuzz $(FUZZ_SECONDS)

bench: all
	@echo "The benchmarks are in $(BUILD)/bench; each folder of bench/ has a README with its command."

install: all
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

deps:
	@tools/install_deps build

deps-test:
	@tools/install_deps build test
	@if [ -x tests/npm/setup ]; then tests/npm/setup; fi

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
