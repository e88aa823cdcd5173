# make         builds everything: build/bin, build/lib, build/include, build/share
# make demo    shows the main job, from a fresh machine to an answer of an attested application
# make check   every test, with an ordinary and with a sanitized build
# make bench   the measurements of bench/
# make fuzz    builds the fuzz targets (clang) and runs each for a minute (SECONDS_EACH=…)
# Each installs the Debian packages that it needs. A second run does only what has changed.

BUILD := $(CURDIR)/build
ASAN := $(BUILD)/asan
MESON_FLAGS := $(if $(CI),-Dwerror=true)
PYTEST := /usr/bin/python3 -m pytest -p no:cacheprovider --basetemp=$(BUILD)/pytest
# On a terminal ninja shows how far it is; in a log it would fill pages.
NINJA_FLAGS := $(if $(VERBOSE),-v,$(shell test -t 2 || echo --quiet))

# Two installations of packages at the same time would be in each other's way.
.NOTPARALLEL:
.PHONY: all demo check check-unit check-system check-attacks check-asan bench fuzz image clean deps-build deps-run deps-test deps-fuzz asan

all: deps-build $(BUILD)/obj/build.ninja
	@echo "Compiling mse"
	@ninja -C $(BUILD)/obj $(NINJA_FLAGS) programs
	@meson install -C $(BUILD)/obj --no-rebuild --only-changed --quiet

deps-build deps-run deps-test deps-fuzz: deps-%:
	@tools/install-deps $*

$(BUILD)/obj/build.ninja: | deps-build
	@mkdir -p $(BUILD)
	@meson setup $(BUILD)/obj --prefix=$(BUILD) --libdir=lib $(MESON_FLAGS) >$(BUILD)/setup.log 2>&1 || { cat $(BUILD)/setup.log; exit 1; }

$(ASAN)/obj/build.ninja: | all
	@meson setup $(ASAN)/obj --prefix=$(ASAN) --libdir=lib -Db_sanitize=address,undefined -Db_lundef=false $(MESON_FLAGS) >$(BUILD)/asan-setup.log 2>&1 || { cat $(BUILD)/asan-setup.log; exit 1; }

asan: all $(ASAN)/obj/build.ninja
	@echo "Compiling mse with the sanitizers"
	@ninja -C $(ASAN)/obj $(NINJA_FLAGS) programs
	@meson install -C $(ASAN)/obj --no-rebuild --only-changed --quiet

image: all deps-run
	@$(BUILD)/bin/msed image build mse-flask --data $(BUILD)/store

demo: all deps-run image
	@tools/demo $(BUILD)

check: check-unit check-system check-attacks check-asan

check-unit: all deps-test asan
	@echo "Compiling the unit tests, twice"
	@ninja -C $(BUILD)/obj $(NINJA_FLAGS)
	@ninja -C $(ASAN)/obj $(NINJA_FLAGS)
	meson test -C $(BUILD)/obj --no-rebuild --print-errorlogs --suite unit
	meson test -C $(ASAN)/obj --no-rebuild --print-errorlogs --suite unit

check-system: all deps-test deps-run image
	MSE_PREFIX=$(BUILD) MSE_STORE=$(BUILD)/store $(PYTEST) tests/system

check-attacks: all deps-test deps-run image
	MSE_PREFIX=$(BUILD) MSE_STORE=$(BUILD)/store $(PYTEST) tests/attacks

# Of the attacks those that the shim has to answer: the other walls are the kernel's, and the same in every build.
check-asan: asan deps-test deps-run image
	MSE_PREFIX=$(ASAN) MSE_STORE=$(BUILD)/store $(PYTEST) tests/system
	MSE_PREFIX=$(ASAN) MSE_STORE=$(BUILD)/store $(PYTEST) tests/attacks -k "no_more and (keys or descriptors_sent or channel)"

bench: all deps-test deps-run image
	@for bench in bench/*/run; do MSE_PREFIX=$(BUILD) MSE_STORE=$(BUILD)/store $$bench || exit 1; done

fuzz: deps-build deps-fuzz
	@test -f $(BUILD)/fuzz/build.ninja || CC=clang-14 CXX=clang++-14 meson setup $(BUILD)/fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@echo "Compiling the fuzz targets"
	@ninja -C $(BUILD)/fuzz $(NINJA_FLAGS)
	@fuzz/run $(or $(SECONDS_EACH),60)

clean:
	rm -rf $(BUILD)
