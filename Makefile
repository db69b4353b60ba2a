# SPDX-License-Identifier: BSD-3-Clause
# make demo     installs what is missing, builds, moves three working devices back and forth
# make check    the same with all tests; ends with "N passed, N failed"
# make check-qemu  the devices in QEMU 11.1 and 10.0 and a guest (unpacks them into a cache once)
# make check-kernel  the VFIO of Debian's Linux 6.12 in a virtual machine (cache as above)
# make fuzz     runs each fuzz target for FUZZ_SECONDS (30)
# make coverage  prints which branches of base, core and wire the tests take
# make bench    prints every benchmark
# make bench-qemu  the same for those that need QEMU: some minutes
# make install  installs what is built (DESTDIR, PREFIX)
# make clean    removes the build folders

PREFIX ?= /usr/local
BUILD ?= build
FILE ?=
BENCH_ARGS ?=
DEMO_ARGS ?=
FUZZ_SECONDS ?= 30

.PHONY: all demo check check-qemu check-kernel fuzz coverage bench bench-qemu install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@scripts/install-packages build
	@meson setup $(BUILD) --prefix $(PREFIX) -Dcheck=false >/dev/null

demo: all
	@$(BUILD)/src/cli/ferry demo $(FILE) $(DEMO_ARGS)

check:
	@scripts/check

check-qemu:
	@scripts/check-qemu

check-kernel:
	@scripts/check-kernel

fuzz:
	@scripts/fuzz $(FUZZ_SECONDS)

coverage:
	@scripts/coverage

bench: all
	@scripts/bench $(BUILD) $(BENCH_ARGS)

bench-qemu:
	@scripts/bench-qemu $(BENCH_ARGS)

# The build folder may have been set up with another PREFIX.
install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD)
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf $(BUILD) build-*
