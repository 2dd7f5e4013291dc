# make            the modules, into build/*.so
# make demo       installs what is missing, builds, shows the main job on real servers
# make run        the same servers, left up, with what to try
# make check      installs what is missing, builds, runs all tests
# make install    into apxs's folders, below DESTDIR
# make asan       the unit tests and those in httpd under AddressSanitizer; so do tsan, ubsan
# make fuzz       the fuzzers, FUZZ_SECONDS=600 each, two at a time
# make bench-instructions    what a request pays for the module, counted
# make bench-hangs  what 1 and 32 of 200 hung services cost the others; MPM=event PAIRS=15
# make soak       busy loops beside the module for SOAK_SECONDS=600
# make soak-restarts  restarts under load, RESTART_SECONDS=60 under each MPM
# make bench-pings  what a dialogue's ping costs, beside haproxy's check
# make bench-crowd  how the pings of many children fall at the services; 13 minutes
# make chaos      as root: the experiments of conf/chaos on the demo's servers; CHAOS=replica-hangs
# make format     clang-format
# make clean
#
# Works alone where apxs is in the path; ./configure writes config.mak for anything else.

APXS ?= apxs
PKG_CONFIG ?= pkg-config
CC ?= cc
WITH_MYSQL ?= yes
-include config.mak
# Built when their libraries are there; WITH_AMQP=yes insists.
there = $(if $(shell $(PKG_CONFIG) --exists '$(1)' 2>/dev/null && echo yes),yes,no)
ifndef WITH_AMQP
WITH_AMQP := $(call there,librabbitmq)
endif
ifndef WITH_REDIS
WITH_REDIS := $(call there,hiredis)
endif
ifndef WITH_HTTP
WITH_HTTP := $(call there,libcurl >= 7.85)
endif
ifndef WITH_PGSQL
WITH_PGSQL := $(call there,libpq)
endif

# Asked once, and only when something is to be compiled.
once = $(or $($(1)),$(eval $(1) := $(2))$($(1)))
apxs = $(or $(call once,APXS_$(1),$(shell $(APXS) -q $(1) 2>/dev/null)),\
       $(error $(APXS) is not there: install apache2-dev, or name another with ./configure --with-apxs=PATH))
# -pthread, which is there anyway, tells a library that needs no flags from one that is not there.
pkg = $(or $(call once,PKG_$(1)_$(2),$(shell $(PKG_CONFIG) --$(1) $(2) 2>/dev/null && echo -pthread)),\
      $(error $(PKG_CONFIG) does not know $(2): install pkg-config and $(DEBIAN_$(2))))
DEBIAN_apr-1 = libapr1-dev
DEBIAN_apr-util-1 = libaprutil1-dev
DEBIAN_libmariadb = libmariadb-dev (or leave it out: make WITH_MYSQL=no)
DEBIAN_librabbitmq = librabbitmq-dev
DEBIAN_libpq = libpq-dev
DEBIAN_openssl = libssl-dev
DEBIAN_hiredis = libhiredis-dev
DEBIAN_libcurl = libcurl4-openssl-dev
DEBIAN_check = check
DEBIAN_libpcre2-8 = libpcre2-dev
DEBIAN_jansson = libjansson-dev

WARNINGS = -Wall -Wextra -Werror=implicit-function-declaration $(if $(WERROR),-Werror)
CFLAGS ?= -O2 -g
HARDENING ?= -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wformat \
             -Werror=format-security
STD = -std=gnu11 -fPIC -pthread $(HARDENING)
APR_CFLAGS ?= $(call pkg,cflags,apr-1)
APR_LIBS ?= $(call pkg,libs,apr-1)
HTTPD_CFLAGS ?= -I$(call apxs,INCLUDEDIR) $(call pkg,cflags,apr-util-1)
LIBEXECDIR ?= $(call apxs,LIBEXECDIR)
INCLUDEDIR ?= $(call apxs,INCLUDEDIR)
STEPSDIR ?= $(call apxs,datadir)/failover
MYSQL_PC ?= libmariadb
PCRE_CFLAGS ?= $(call pkg,cflags,libpcre2-8)
PCRE_LIBS ?= $(call pkg,libs,libpcre2-8)
JANSSON_CFLAGS ?= $(call pkg,cflags,jansson)
JANSSON_LIBS ?= $(call pkg,libs,jansson)
OPENSSL_CFLAGS ?= $(call pkg,cflags,openssl)
OPENSSL_LIBS ?= $(call pkg,libs,openssl)
VERSION := $(shell sed -n 's/^AC_INIT(\[mod_failover\], \[\(.*\)\])$$/\1/p' configure.ac)

B ?= build
O = $(B)/obj
OURS = -Iinclude -Isrc

# The core and the probes' drivers see APR alone, and one file of the core PCRE2: <httpd.h> does not
# compile there.
CORE = $(patsubst src/core/%.c,$(O)/core/%.o,$(wildcard src/core/*.c))
DRIVERS = $(patsubst %,$(O)/probe/%.o,probe_ask probe_connect probe_dialogue probe_flight probe_flight_hosts probe_gate \
          probe_loop probe_pages probe_queue probe_resolver probe_round probe_script probe_script_file probe_script_match \
          probe_sleep probe_steps probe_stream probe_tcp probe_tls probe_workers)
GLUE = $(patsubst src/httpd/%.c,$(O)/httpd/%.o,$(wildcard src/httpd/*.c))

MODULES = $(B)/mod_failover.so $(B)/mod_failover_memcached.so $(B)/mod_failover_plugin.so
MODULES_yes = # of those that may be left out
MODULES_$(WITH_MYSQL) += $(B)/mod_failover_mysql.so
MODULES_$(WITH_AMQP) += $(B)/mod_failover_amqp.so
MODULES_$(WITH_REDIS) += $(B)/mod_failover_redis.so
MODULES_$(WITH_HTTP) += $(B)/mod_failover_http.so
MODULES_$(WITH_PGSQL) += $(B)/mod_failover_pgsql.so
MODULES += $(MODULES_yes)

all: $(MODULES)

LINK = @echo "  LD $@"; $(CC) $(STD) $(CFLAGS) $(LDFLAGS)
LINK_MODULE = $(LINK) -shared -Wl,--version-script=$(B)/exports.map -o $@ $(filter %.o,$^) $(APR_LIBS)

$(B)/mod_failover.so: $(O)/mod_failover.o $(GLUE) $(DRIVERS) $(CORE) $(B)/exports.map
	$(LINK_MODULE) $(PCRE_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)

# What several of the modules have of their own.
CONNECT = $(O)/probe/probe_connect.o
IN_TURN = $(O)/probe/probe_in_turn.o
PARSE = $(O)/core/fo_parse.o

MYSQL = $(patsubst src/probe/%.c,$(O)/probe/%.o,$(wildcard src/probe/probe_mysql*.c))
MYSQL_LIBS = $(call pkg,libs,$(MYSQL_PC)) $(OPENSSL_LIBS)

$(B)/mod_failover_mysql.so: $(O)/module/mod_failover_mysql.o $(MYSQL) $(O)/probe/probe_tls.o \
                            $(PARSE) $(CONNECT) $(IN_TURN) $(B)/exports.map
	$(LINK_MODULE) $(MYSQL_LIBS)

$(B)/mod_failover_memcached.so: $(O)/module/mod_failover_memcached.o $(O)/probe/probe_memcached.o \
                                $(PARSE) $(CONNECT) $(B)/exports.map
	$(LINK_MODULE)

AMQP = $(O)/probe/probe_amqp.o $(O)/probe/probe_link.o
STREAM = $(O)/probe/probe_stream.o
AMQP_CFLAGS = $(call pkg,cflags,librabbitmq)
AMQP_LIBS = $(call pkg,libs,librabbitmq) $(OPENSSL_LIBS)

$(B)/mod_failover_amqp.so: $(O)/module/mod_failover_amqp.o $(AMQP) $(STREAM) $(CONNECT) \
                           $(IN_TURN) $(B)/exports.map
	$(LINK_MODULE) $(AMQP_LIBS)

REDIS = $(patsubst %,$(O)/probe/%.o,probe_redis probe_redis_nodes probe_resp)

$(B)/mod_failover_redis.so: $(O)/module/mod_failover_redis.o $(REDIS) $(PARSE) $(B)/exports.map
	$(LINK_MODULE) $(call pkg,libs,hiredis)

HTTP = $(patsubst %,$(O)/probe/%.o,probe_curl probe_curl_site probe_http probe_http_options probe_lag \
       probe_lag_json)
HTTP_CFLAGS = $(call pkg,cflags,libcurl) $(OPENSSL_CFLAGS) $(JANSSON_CFLAGS) \
              -DFO_VERSION='"$(VERSION)"'
HTTP_LIBS = $(call pkg,libs,libcurl) $(OPENSSL_LIBS) $(JANSSON_LIBS)

$(B)/mod_failover_http.so: $(O)/module/mod_failover_http.o $(HTTP) $(PARSE) $(CONNECT) \
                           $(B)/exports.map
	$(LINK_MODULE) $(HTTP_LIBS)

PGSQL = $(O)/probe/probe_pgsql.o $(O)/probe/probe_conninfo.o
PGSQL_CFLAGS = $(call pkg,cflags,libpq)
PGSQL_LIBS = $(call pkg,libs,libpq) $(OPENSSL_LIBS)

$(B)/mod_failover_pgsql.so: $(O)/module/mod_failover_pgsql.o $(PGSQL) $(O)/probe/probe_tls.o \
                            $(PARSE) $(B)/exports.map
	$(LINK_MODULE) $(PGSQL_LIBS)

PLUGIN = $(patsubst %,$(O)/probe/%.o,probe_plugin probe_plugin_helper probe_plugin_run)

$(B)/mod_failover_plugin.so: $(O)/module/mod_failover_plugin.o $(PLUGIN) $(PARSE) \
                             $(B)/exports.map
	$(LINK_MODULE)

# The module record is all that a module shows.
$(B)/exports.map:
	@mkdir -p $(@D)
	printf '{ global: *_module; local: *; };\n' > $@

COMPILE = @mkdir -p $(@D); echo "  CC $<"; \
          $(CC) $(STD) $(CFLAGS) $(WARNINGS) $(OURS) $(APR_CFLAGS)

$(O)/core/fo_regex.o: src/core/fo_regex.c
	$(COMPILE) $(PCRE_CFLAGS) -MMD -c -o $@ $<
$(O)/core/%.o: src/core/%.c
	$(COMPILE) -MMD -c -o $@ $<
$(MYSQL): $(O)/probe/%.o: src/probe/%.c
	$(COMPILE) $(call pkg,cflags,$(MYSQL_PC)) $(OPENSSL_CFLAGS) -MMD -c -o $@ $<
$(AMQP): $(O)/probe/%.o: src/probe/%.c
	$(COMPILE) $(AMQP_CFLAGS) $(OPENSSL_CFLAGS) -MMD -c -o $@ $<
$(REDIS): $(O)/probe/%.o: src/probe/%.c
	$(COMPILE) $(call pkg,cflags,hiredis) -MMD -c -o $@ $<
$(HTTP): $(O)/probe/%.o: src/probe/%.c configure.ac
	$(COMPILE) $(HTTP_CFLAGS) -MMD -c -o $@ $<
$(PGSQL): $(O)/probe/%.o: src/probe/%.c
	$(COMPILE) $(PGSQL_CFLAGS) $(OPENSSL_CFLAGS) -MMD -c -o $@ $<
$(O)/probe/%.o: src/probe/%.c
	$(COMPILE) $(OPENSSL_CFLAGS) -MMD -c -o $@ $<
$(O)/httpd/httpd_status%.o: src/httpd/httpd_status%.c configure.ac
	$(COMPILE) $(HTTPD_CFLAGS) $(JANSSON_CFLAGS) -DFO_VERSION='"$(VERSION)"' -MMD -c -o $@ $<
$(O)/httpd/httpd_health.o: src/httpd/httpd_health.c
	$(COMPILE) $(HTTPD_CFLAGS) $(JANSSON_CFLAGS) -MMD -c -o $@ $<
$(O)/httpd/%.o: src/httpd/%.c
	$(COMPILE) $(HTTPD_CFLAGS) -MMD -c -o $@ $<
$(O)/module/%.o: src/module/%.c
	$(COMPILE) $(HTTPD_CFLAGS) -MMD -c -o $@ $<
$(O)/mod_failover.o: mod_failover.c
	$(COMPILE) $(HTTPD_CFLAGS) -MMD -c -o $@ $<

-include $(wildcard $(O)/*.d $(O)/*/*.d)

install: all
	install -d "$(DESTDIR)$(LIBEXECDIR)" "$(DESTDIR)$(INCLUDEDIR)"
	install -m 644 $(MODULES) "$(DESTDIR)$(LIBEXECDIR)"
	install -m 644 include/mod_failover.h "$(DESTDIR)$(INCLUDEDIR)"
	install -d "$(DESTDIR)$(STEPSDIR)"
	install -m 644 conf/*.steps "$(DESTDIR)$(STEPSDIR)"

# ------------------------------------------------------------------ tests

CHECK_FLAGS = -It/unit $(call pkg,cflags,check)
CHECK_LIBS = $(call pkg,libs,check) $(APR_LIBS) $(PCRE_LIBS)
UNITS = $(patsubst t/unit/%.c,$(B)/t/%,$(wildcard t/unit/check_*.c))
FUZZERS = $(patsubst t/fuzz/%.c,$(B)/fuzz/%,$(wildcard t/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 600
SOAK_SECONDS ?= 600

# The tests of the core link the core, APR and PCRE2 alone: that it needs no more is proved here.
$(B)/t/check_fo_%: t/unit/check_fo_%.c $(CORE) $(wildcard t/unit/*.h)
	@mkdir -p $(@D)
	$(LINK) $(WARNINGS) $(OURS) $(APR_CFLAGS) $(CHECK_FLAGS) -o $@ $< $(CORE) $(CHECK_LIBS)
$(B)/t/check_probe_%: t/unit/check_probe_%.c $(CORE) $(DRIVERS) $(MYSQL) \
                      $(O)/probe/probe_memcached.o $(AMQP) $(CONNECT) $(IN_TURN) $(REDIS) $(HTTP) $(PGSQL) $(PLUGIN) \
                      $(wildcard t/unit/*.h)
	@mkdir -p $(@D)
	$(LINK) $(WARNINGS) $(OURS) $(APR_CFLAGS) $(CHECK_FLAGS) $(call pkg,cflags,$(MYSQL_PC)) \
	    $(HTTP_CFLAGS) $(PGSQL_CFLAGS) -o $@ $< $(filter %.o,$^) $(CHECK_LIBS) \
	    $(call pkg,libs,$(MYSQL_PC)) $(AMQP_LIBS) $(call pkg,libs,hiredis) $(HTTP_LIBS) \
	    $(PGSQL_LIBS)

# What a fuzzer needs besides.
FUZZED_fuzz_dialogue_redis = $(REDIS:$(O)/%.o=src/%.c) $(call pkg,cflags,hiredis)
FUZZED_LIBS_fuzz_dialogue_redis = $(call pkg,libs,hiredis)
$(B)/fuzz/fuzz_dialogue_redis: $(REDIS:$(O)/%.o=src/%.c)
FUZZED_fuzz_http = src/probe/probe_http_options.c
FUZZED_fuzz_lag = src/probe/probe_lag_json.c $(JANSSON_CFLAGS)
FUZZED_LIBS_fuzz_lag = $(JANSSON_LIBS)
$(B)/fuzz/fuzz_http: src/probe/probe_http_options.c
$(B)/fuzz/fuzz_lag: src/probe/probe_lag_json.c

FUZZED = src/probe/probe_tcp.c $(wildcard src/probe/probe_script*.c)

$(B)/fuzz/%: t/fuzz/%.c t/fuzz/fuzz.h $(wildcard src/core/*.c) $(FUZZED)
	@mkdir -p $(@D)
	@echo "  CLANG $@"; clang $(STD) -g -O1 -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined $(WARNINGS) $(OURS) $(APR_CFLAGS) \
	    $(PCRE_CFLAGS) -o $@ $< $(wildcard src/core/*.c) $(FUZZED) $(APR_LIBS) $(PCRE_LIBS) \
	    $(FUZZED_$*) $(FUZZED_LIBS_$*)

# The test of the loop sees each answer on its way to the monitor.
$(B)/t/check_probe_loop: CHECK_FLAGS += -Wl,--wrap=fo_monitor_answer,--wrap=fo_monitor_answer_early

units: $(UNITS)
fuzzers: $(FUZZERS)

# The same sources under each compiler and sanitizer, in folders of their own. A module that stays
# mapped to the end keeps the names in the reports of what it left; a fortified call would pass the
# sanitizers by.
SANITIZE_asan = -fsanitize=address,undefined -fno-sanitize-recover=undefined -static-libubsan
SANITIZE_tsan = -fsanitize=thread
SANITIZE_ubsan = -fsanitize=undefined -fno-sanitize-recover=undefined -static-libubsan
instrumented-%:
	@$(MAKE) --no-print-directory B=build/$* CC=gcc HARDENING= LDFLAGS="-Wl,-z,nodelete" \
	    CFLAGS="-O1 -g -fno-omit-frame-pointer $(SANITIZE_$*)" all units

# What is preloaded beside a runtime.
PRELOADED = @mkdir -p $(@D); echo "  CC $<"; \
            gcc $(STD) -O1 -g $(WARNINGS) $(APR_CFLAGS) -shared -o $@ $<
build/asan/%.so: t/sanitize/%.c
	$(PRELOADED)
build/tsan/%.so: t/sanitize/%.c
	$(PRELOADED)
instrumented-asan: build/asan/alone.so build/asan/pools.so
instrumented-tsan: build/tsan/alone.so

# ASan's build has UBSan as well.
tested: all units fuzzers instrumented-asan instrumented-tsan
	@$(MAKE) --no-print-directory B=build/clang CC=clang all

BUSY = $(shell grep -v '^\#' t/busy)

check:
	t/install check
	@$(MAKE) --no-print-directory -j$(shell nproc) WERROR=1 tested
	prove -It/lib -j2 --timer $(filter-out $(BUSY),$(wildcard t/*.t t/httpd/*.t t/examples/*.t))
	prove -It/lib --timer $(BUSY)
	t/sanitize/run short asan tsan

asan tsan ubsan:
	t/install check
	@$(MAKE) --no-print-directory -j$(shell nproc) WERROR=1 instrumented-$@
	t/sanitize/run whole $@

fuzz:
	t/install check
	@$(MAKE) --no-print-directory -j$(shell nproc) fuzzers
	printf '%s\n' $(FUZZERS) | xargs -P 2 -I FUZZER t/fuzz/run FUZZER $(FUZZ_SECONDS)

bench-instructions:
	@t/install check
	@$(MAKE) --no-print-directory -s all
	@perl -It/lib t/bench/instructions

bench-hangs:
	@t/install check
	@$(MAKE) --no-print-directory -s all
	t/bench/hangs

soak:
	t/install check
	@$(MAKE) --no-print-directory all
	FAILOVER_SOAK=$(SOAK_SECONDS) prove -It/lib -v t/httpd/90-busy.t

RESTART_SECONDS ?= 60
soak-restarts:
	t/install check
	@$(MAKE) --no-print-directory all
	FAILOVER_SOAK=$(RESTART_SECONDS) FAILOVER_FIGURES=1 prove -It/lib -v t/httpd/62-restarts.t

$(B)/bench/pings: t/bench/pings.c $(CORE) $(DRIVERS) $(REDIS)
	@mkdir -p $(@D)
	$(LINK) $(WARNINGS) $(OURS) $(APR_CFLAGS) -o $@ $< $(CORE) $(DRIVERS) $(REDIS) $(APR_LIBS) \
	    $(PCRE_LIBS) $(OPENSSL_LIBS) $(call pkg,libs,hiredis)
bench-pings:
	t/install check
	@$(MAKE) --no-print-directory -s $(B)/bench/pings
	t/bench/pings

bench-crowd:
	@t/install check
	@$(MAKE) --no-print-directory -s all
	perl -It/lib t/bench/crowd

chaos:
	@t/install check
	@$(MAKE) --no-print-directory -s all
	@t/chaos/run $(CHAOS)

demo:
	@t/install demo
	@$(MAKE) --no-print-directory -s all
	@demo/run demo

run:
	@t/install demo
	@$(MAKE) --no-print-directory -s all
	@demo/run keep

format:
	clang-format -i mod_failover.c include/*.h src/*/*.[ch]

clean:
	rm -rf build

.PHONY: all install units fuzzers tested check fuzz bench-instructions demo run format clean bench-hangs soak asan tsan ubsan soak-restarts bench-crowd bench-pings chaos
.DEFAULT_GOAL = all
