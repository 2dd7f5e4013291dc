# make                 the modules, into build/*.so
# make demo            see the main job on real servers
# make run             the same httpd, left up
# make check           all tests
# make install DESTDIR=
# make lint fuzz asan format clean
#
# Works alone where apxs is in the path; ./configure writes config.mak for anything else.

APXS ?= apxs
PKG_CONFIG ?= pkg-config
CC ?= cc
WITH_MYSQL ?= yes
WITH_MEMCACHED ?= yes
-include config.mak

WARNINGS = -Wall -Wextra -Werror=implicit-function-declaration $(if $(WERROR),-Werror)
CFLAGS ?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wformat -Werror=format-security
STD = -std=gnu11 -fPIC -pthread
APR_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags apr-1)
APU_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags apr-util-1)
APR_LIBS ?= $(shell $(PKG_CONFIG) --libs apr-1)
HTTPD_CFLAGS ?= -I$(shell $(APXS) -q INCLUDEDIR) $(APU_CFLAGS)
LIBEXECDIR ?= $(shell $(APXS) -q LIBEXECDIR)
INCLUDEDIR ?= $(shell $(APXS) -q INCLUDEDIR)
MYSQL_PC ?= libmariadb

B ?= build
O = $(B)/obj
OURS = -Iinclude -Isrc

# The core and the probes' drivers see APR alone: <httpd.h> does not compile there.
CORE = $(patsubst src/core/%.c,$(O)/core/%.o,$(wildcard src/core/*.c))
DRIVERS = $(patsubst %,$(O)/probe/%.o,probe_ask probe_dialogue probe_flight probe_gate probe_loop \
          probe_resolver probe_steps probe_tcp probe_workers)
GLUE = $(patsubst src/httpd/%.c,$(O)/httpd/%.o,$(wildcard src/httpd/*.c))

MODULES = $(B)/mod_failover.so
ifeq ($(WITH_MYSQL),yes)
MODULES += $(B)/mod_failover_mysql.so
endif
ifeq ($(WITH_MEMCACHED),yes)
MODULES += $(B)/mod_failover_memcached.so
endif

all: $(MODULES)

$(B)/mod_failover.so: $(O)/mod_failover.o $(GLUE) $(DRIVERS) $(CORE) $(B)/exports.map
	$(CC) $(STD) $(CFLAGS) $(LDFLAGS) -shared -Wl,--version-script=$(B)/exports.map -o $@ \
	    $(filter %.o,$^) $(APR_LIBS)

$(B)/mod_failover_mysql.so: $(O)/module/mod_failover_mysql.o $(O)/probe/probe_mysql.o $(B)/exports.map
	$(CC) $(STD) $(CFLAGS) $(LDFLAGS) -shared -Wl,--version-script=$(B)/exports.map -o $@ \
	    $(filter %.o,$^) $(APR_LIBS) $(shell $(PKG_CONFIG) --libs $(MYSQL_PC))

$(B)/mod_failover_memcached.so: $(O)/module/mod_failover_memcached.o $(O)/probe/probe_memcached.o $(B)/exports.map
	$(CC) $(STD) $(CFLAGS) $(LDFLAGS) -shared -Wl,--version-script=$(B)/exports.map -o $@ \
	    $(filter %.o,$^) $(APR_LIBS) $(shell $(PKG_CONFIG) --libs libmemcached)

# The module record is all that a module shows.
$(B)/exports.map:
	@mkdir -p $(@D)
	printf '{ global: *_module; local: *; };\n' > $@

COMPILE = @mkdir -p $(@D); echo "  CC $<"; \
          $(CC) $(STD) $(CFLAGS) $(WARNINGS) $(OURS) $(APR_CFLAGS)

$(O)/core/%.o: src/core/%.c
	$(COMPILE) -MMD -c -o $@ $<
$(O)/probe/probe_mysql.o: src/probe/probe_mysql.c
	$(COMPILE) $(shell $(PKG_CONFIG) --cflags $(MYSQL_PC)) -MMD -c -o $@ $<
$(O)/probe/%.o: src/probe/%.c
	$(COMPILE) -MMD -c -o $@ $<
$(O)/httpd/%.o: src/httpd/%.c
	$(COMPILE) $(HTTPD_CFLAGS) -MMD -c -o $@ $<
$(O)/module/%.o: src/module/%.c
	$(COMPILE) $(HTTPD_CFLAGS) -MMD -c -o $@ $<
$(O)/mod_failover.o: mod_failover.c
	$(COMPILE) $(HTTPD_CFLAGS) -MMD -c -o $@ $<

-include $(wildcard $(O)/*.d $(O)/*/*.d)

install: all
	install -d $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(MODULES) $(DESTDIR)$(LIBEXECDIR)
	install -m 644 include/mod_failover.h $(DESTDIR)$(INCLUDEDIR)

clean:
	rm -rf $(B)

.PHONY: all install clean
.DEFAULT_GOAL = all
