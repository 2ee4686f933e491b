# Sluice: one Makefile for everything; `make help` says what it can do.
#
# The folders and their order come from scripts/layers.txt. Each folder is an archive, and a unit
# test is linked only against the archives at or below its folder, so a call upwards is a link error.
# Objects live in build/<variant>/ (another place: B=/elsewhere). VARIANT_RULES is written once for all variants.

CC      := gcc
AR      := gcc-ar
CLANG   := clang-14
PYTHON  := /usr/bin/python3
PREFIX  ?= /usr/local
SYSCONF ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR ?= $(PREFIX)/lib/systemd/system
LIBS    := -lyaml -lhiredis -lcrypto -lm
T       ?=
SECONDS ?= 60
B       ?= build
export B
MAKEFLAGS += --no-print-directory $(if $(filter 0,$(MAKELEVEL)),-j$(or $(JOBS),$(shell nproc)))
VERSION := $(or $(shell sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md 2>/dev/null | head -n 1),0.0.0)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 \
            -Wimplicit-fallthrough -Wswitch-enum -Wwrite-strings -Wcast-qual $(if $(WERROR),-Werror)
BASE     := -std=c17 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -I. $(WARNINGS) -g -MMD -MP $(EXTRA)

# --- variants: compiler, flags for objects, flags for linking ------------------------------------
VARIANTS := release debug faults tsan fuzz coverage

cc_release       := $(CC)
cflags_release   := -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE $(if $(LTO),-flto=auto)
ldflags_release  := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack $(if $(LTO),-O2 -flto=auto)
cc_debug         := $(CC)
cflags_debug     := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
ldflags_debug    := -fsanitize=address,undefined
cc_faults        := $(CC)
cflags_faults    := $(cflags_debug) -DFAULTS
ldflags_faults   := $(ldflags_debug)
cc_tsan          := $(CC)
cflags_tsan      := -O1 -fno-omit-frame-pointer -fsanitize=thread -DUNDER_TSAN=1
ldflags_tsan     := -fsanitize=thread
cc_fuzz          := $(CLANG)
cflags_fuzz      := -O1 -mcx16 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ldflags_fuzz     := -fsanitize=fuzzer,address,undefined
cc_coverage      := $(CLANG)
cflags_coverage  := -O0 -fprofile-instr-generate -fcoverage-mapping
ldflags_coverage := -fprofile-instr-generate

# --- sources -------------------------------------------------------------------------------------
LAYERS   := $(shell awk '!/^\#/ { for (i = 2; i <= NF; i++) print $$1 ":" $$i }' scripts/layers.txt)
folder    = $(lastword $(subst :, ,$1))
sources   = $(filter-out gateway/main.c,$(wildcard $1/*.c))
FOLDERS  := $(foreach l,$(LAYERS),$(if $(call sources,$(call folder,$l)),$(call folder,$l)))
number    = $(foreach l,$(LAYERS),$(if $(filter $1,$(call folder,$l)),$(firstword $(subst :, ,$l))))
lower     = $(filter $(addsuffix :%,$(wordlist 1,$(call number,$1),0 1 2 3 4 5 6 7 8 9)),$(LAYERS))
below     = $(filter $(FOLDERS),$1 $(foreach l,$(call lower,$1),$(call folder,$l)))
archive   = $B/$1/lib$(subst /,_,$2).a
archives  = $(foreach f,$2,$(call archive,$1,$f))

MAIN     := $(wildcard gateway/main.c)
UNIT     := $(sort $(shell find test/unit -name 'test_*.c' 2>/dev/null))
HAMMER   := $(sort $(wildcard test/hammer/hammer_*.c))
FUZZERS  := $(sort $(wildcard test/fuzz/fuzz_*.c))
program   = $(patsubst %.c,$B/$1/%,$2)
SOURCES  := $(foreach f,$(FOLDERS),$(call sources,$f)) $(MAIN) $(shell find test -name '*.c' 2>/dev/null)
HEADERS  := $(wildcard $(foreach l,$(LAYERS),$(call folder,$l)/*.h)) $(shell find test -name '*.h' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: all test test-unit test-wire test-hammer test-corpus packages run tsan hammer model fuzz bench coverage lint \
        format reference install uninstall clean help FORCE release debug

all: release          ## build/release/sluice (LTO=1: optimised over all files, WERROR=1: warnings are errors)

define ARCHIVE_RULE
$(call archive,$1,$2): $(patsubst %.c,$B/$1/%.o,$(call sources,$2))
	@rm -f $$@ && $(if $(filter gcc,$(cc_$1)),$(AR),ar) rcsD $$@ $$^
endef
define UNIT_RULE
$B/$1/$(2:.c=): $B/$1/$(2:.c=.o) $(patsubst %.c,$B/$1/%.o,$(filter-out $(dir $2)test_%,$(wildcard $(dir $2)*.c))) \
                   $(call archives,$1,$(call below,$(patsubst test/unit/%/,%,$(dir $2))))
	@$(cc_$1) $(ldflags_$1) -o $$@ $$^ -Wl,--as-needed -lcheck_pic -lsubunit -lpthread -lrt $(LIBS)
endef
define VARIANT_RULES
$(foreach f,$(FOLDERS),$(eval $(call ARCHIVE_RULE,$1,$f)))
$(if $(filter debug coverage,$1),$(foreach t,$(UNIT),$(eval $(call UNIT_RULE,$1,$t))))
$(if $(filter release debug,$1),$1: $(call archives,$1,$(FOLDERS)) $(if $(MAIN),$B/$1/sluice) $B/$1/demo-service)
$B/$1/flags: FORCE
	@mkdir -p $$(@D); printf '%s\n' '$(subst ','\'',$(cc_$1) $(BASE) $(cflags_$1))' >$$@.$$$$$$$$; \
	 if cmp -s $$@.$$$$$$$$ $$@; then rm $$@.$$$$$$$$; else mv $$@.$$$$$$$$ $$@; fi
$B/$1/%.o: %.c $B/$1/flags
	@mkdir -p $$(@D); $(if $V,,echo "  $1  $$<";) $(cc_$1) $(BASE) $(cflags_$1) -c -o $$@ $$<
$B/$1/sluice: $(MAIN:%.c=$B/$1/%.o) $(call archives,$1,$(FOLDERS))
	@$(cc_$1) $(ldflags_$1) -o $$@ $$^ -Wl,--as-needed $(LIBS)
$B/$1/demo-service: $B/$1/test/demo/demo_service.o
	@$(cc_$1) $(ldflags_$1) -o $$@ $$^
$B/$1/test/hammer/hammer_%: $B/$1/test/hammer/hammer_%.o $(call archives,$1,$(FOLDERS))
	@$(cc_$1) $(ldflags_$1) -o $$@ $$^ -Wl,--as-needed $(LIBS) -lpthread
$B/$1/test/bench/micro_%: $B/$1/test/bench/micro_%.o $(call archives,$1,$(FOLDERS))
	@$(cc_$1) $(ldflags_$1) -o $$@ $$^ -Wl,--as-needed $(LIBS) -lpthread
$B/$1/test/fuzz/fuzz_%: $B/$1/test/fuzz/fuzz_%.o $(if $(filter debug,$1),$B/$1/test/fuzz/replay.o) $(call archives,$1,$(FOLDERS))
	@$(cc_$1) $(ldflags_$1) -o $$@ $$^ -Wl,--as-needed $(LIBS)
-include $(shell find $B/$1 -name '*.d' 2>/dev/null)
endef
.SECONDARY:
$(foreach v,$(VARIANTS),$(eval $(call VARIANT_RULES,$v)))

# --- tests ---------------------------------------------------------------------------------------
# T=ratelimit takes the unit tests of one folder, T=test_proxy.py one file of test/wire, T=wire, T=hammer, T=model or T=corpus one kind;
# CK_RUN_CASE=name one case of libcheck. scripts/run-tests runs what was built and says the sum.
kind  = $(if $T,$(filter $1,$T),all)
PICK := $(if $T,$(foreach t,$(UNIT),$(if $(findstring /$(T:/=)/,$t),$t)),$(UNIT))
# One system call after the other fails in it (workers/faults.h), for test/wire/test_faults.py.
FAULTY := $(if $(call kind,wire)$(filter test_faults.py,$T),$B/faults/sluice)
ASKED := $(call program,debug,$(PICK)) \
         $(if $(call kind,corpus),$(call program,debug,$(FUZZERS))) \
         $(if $(call kind,hammer),$(call program,release,$(HAMMER)) $(call program,tsan,$(HAMMER))) \
         $(if $(call kind,model),test/model/run)

test: packages        ## install what is missing, build with asan and ubsan, run unit, hammer, model, corpus and wire tests (T=ratelimit: one folder)
	@$(MAKE) debug $(FAULTY) $(ASKED)
	@T='$T' $(PYTHON) scripts/run-tests $(if $T,,unit hammer model corpus wire) $(ASKED)

test-unit: $(call program,debug,$(PICK)) ## only the unit tests
	@$(PYTHON) scripts/run-tests $^

test-wire: debug $(FAULTY) ## only the tests over real sockets, with the debug binary
	@T='$(or $T,wire)' $(PYTHON) scripts/run-tests

test-hammer: $(call program,release,$(HAMMER)) $(call program,tsan,$(HAMMER)) ## shared structures under processes and threads, a few seconds
	@$(PYTHON) scripts/run-tests $^

test-corpus: $(call program,debug,$(FUZZERS)) ## what the fuzzers have found, again
	@$(PYTHON) scripts/run-tests $^

packages:
	@scripts/install-packages

tsan: $(call program,tsan,$(HAMMER)) ## the hammer programs as threads under the thread sanitizer
	@SECONDS_EACH=$(SECONDS) $(PYTHON) scripts/run-tests $^

hammer: $(call program,release,$(HAMMER)) ## the hammer programs as processes with SIGKILL, SECONDS=60 each
	@SECONDS_EACH=$(SECONDS) $(PYTHON) scripts/run-tests $^

model:                ## cells of limits, the breaker's probe, the sliding log: every state of their models (needs spin)
	@test/model/run

fuzz: $(if $(FUZZ),$B/fuzz/test/fuzz/fuzz_$(FUZZ),$(call program,fuzz,$(FUZZERS))) ## FUZZ=h1_head SECONDS=60; without FUZZ all of them in turn
	@for f in $^; do name=$${f##*/fuzz_}; mkdir -p $B/fuzz/corpus/$$name $B/fuzz/findings; echo "== $$name"; \
	   $$f -max_total_time=$(SECONDS) -timeout=5 -print_final_stats=1 -artifact_prefix=$B/fuzz/findings/$$name- \
	       $B/fuzz/corpus/$$name $$(ls -d test/fuzz/corpus/$$name 2>/dev/null) || exit 1; done

coverage: $(call program,coverage,$(UNIT)) $(if $(MAIN),$B/coverage/sluice) ## branches by folder, and the files below the line (WIRE=1: of the wire tests, too)
	@scripts/coverage $(FOLDERS)

# --- work ----------------------------------------------------------------------------------------
run:                  ## build, start three demo services and the gateway, say what to try; Ctrl-C ends all
	@scripts/run

bench: release $B/release/test/bench/micro_limits ## CPU per request, rates and latencies beside nginx and haproxy
	@scripts/install-packages bench
	@scripts/bench $(ARGS)

lint: compile_commands.json $(foreach f,$(FOLDERS),$B/lint/$(subst /,_,$f).ok) ## layers, style, clang-tidy, cppcheck, shellcheck (FAST=1: without the slow two)
	@bad=0; scripts/check-layers || bad=1; scripts/check-style || bad=1; \
	 shellcheck -S warning $$(grep -lE '^#!.*\b(ba)?sh\b' .ci/run scripts/* test/model/run 2>/dev/null) || bad=1; \
	 $(if $(FAST),,clang-tidy-14 --quiet -p . $(foreach f,$(FOLDERS),$(call sources,$f)) $(MAIN) 2>/dev/null || bad=1; \
	 cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability -I. -D_GNU_SOURCE -U__has_feature \
	          $(FOLDERS) || bad=1;) exit $$bad

# The whole archive against those below it: what it calls upwards, tested or not, stays unresolved.
define LINK_RULE
$B/lint/$(subst /,_,$1).ok: $(call archives,release,$(call below,$1))
	@mkdir -p $$(@D); echo 'int main(void) { return 0; }' | $(CC) $(ldflags_release) -fPIE -x c - -x none -o $$@ \
	 -Wl,--whole-archive $$< -Wl,--no-whole-archive $$(wordlist 2,99,$$^) $(LIBS)
endef
$(foreach f,$(FOLDERS),$(eval $(call LINK_RULE,$f)))

format:               ## clang-format over all .c and .h
	@clang-format-14 -i $(SOURCES) $(HEADERS)

reference: release    ## conf/REFERENCE.md from the tables of the configuration
	@scripts/reference

compile_commands.json: Makefile FORCE ## for clangd and clang-tidy
	@{ printf '['; s=; for f in $(SOURCES); do printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' "$$s" '$(CURDIR)' "$$f" \
	   '$(subst ",\",$(subst \,\\,$(CLANG) -std=c17 -D_GNU_SOURCE -DSLUICE_VERSION=\"$(VERSION)\" -I. -O1 $(WARNINGS)))' "$$f"; s=,; done; echo ']'; } >$@

install: release      ## PREFIX=/usr/local DESTDIR=: binary, man page, configuration (never overwritten), systemd unit
	install -D -m 755 $B/release/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	sed -e 's|@VERSION@|$(VERSION)|' scripts/sluice.1 >$(DESTDIR)$(PREFIX)/share/man/man1/sluice.1
	test -e $(DESTDIR)$(SYSCONF)/sluice/config.yaml || install -D -m 644 conf/config.yaml $(DESTDIR)$(SYSCONF)/sluice/config.yaml
	install -D -m 644 scripts/sluice.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sluice.conf
	install -d $(DESTDIR)$(UNITDIR)
	sed -e 's|@BIN@|$(PREFIX)/bin|g' -e 's|@CONF@|$(SYSCONF)/sluice|g' scripts/sluice.service >$(DESTDIR)$(UNITDIR)/sluice.service

uninstall:            ## what install put there, but the configuration
	rm -f $(DESTDIR)$(PREFIX)/bin/sluice $(DESTDIR)$(PREFIX)/share/man/man1/sluice.1 $(DESTDIR)$(UNITDIR)/sluice.service \
	      $(DESTDIR)$(PREFIX)/lib/sysusers.d/sluice.conf

clean:                ## remove build/
	rm -rf $B compile_commands.json

help:                 ## this
	@awk -F ':.*## ' '/^[a-z_.-]+:.*## / { sub(/:.*/, "", $$1); printf "  make %-22s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
