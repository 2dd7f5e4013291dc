#!/bin/sh
# Includes point down only: mod_failover.c -> src/httpd -> src/probe -> src/core -> APR and libc.
# A registering module knows the public header, its probe and httpd, nothing else of ours.
set -u
failed=0

# refuse WHAT PATTERN FILE...: no include of these files matches the pattern.
refuse() {
    what=$1 pattern=$2
    shift 2
    for file in "$@"; do
        [ -f "$file" ] || { echo "layers: there is no $file"; failed=1; continue; }
        found=$(grep -nE '^[[:space:]]*#[[:space:]]*include' "$file" | grep -E "$pattern")
        [ -z "$found" ] && continue
        echo "$found" | sed "s|^|layers: $what: $file:|"
        failed=1
    done
}

# allow WHAT PATTERN FILE...: each include of our own in these files matches the pattern.
allow() {
    what=$1 pattern=$2
    shift 2
    for file in "$@"; do
        [ -f "$file" ] || { echo "layers: there is no $file"; failed=1; continue; }
        found=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$file" | grep -vE "$pattern")
        [ -z "$found" ] && continue
        echo "$found" | sed "s|^|layers: $what: $file:|"
        failed=1
    done
}

httpd='[<"/](httpd|http_[a-z]+|ap_[a-z_]+|util_[a-z_]+|scoreboard|unixd|mpm_common|mod_[a-egh-z][a-z_]*)\.h[">]'
systems='[<"](sys/(socket|un|select|poll|epoll|eventfd|time|wait)|netinet/.*|arpa/.*|netdb|poll|pthread|semaphore|signal|syslog|time|unistd|fcntl|apr_(thread|poll|network_io|portable|signal|time|getopt|file)[a-z_]*)\.h[">]'

refuse 'the core knows no httpd' "$httpd" include/*.h src/core/*.[ch]
refuse 'probes know no httpd' "$httpd" src/probe/*.[ch]
refuse 'the core has no sockets, clocks, threads or logs' "$systems" src/core/*.[ch]
allow 'the public header stands alone' '"none of ours"' include/*.h
allow 'the core includes itself and the public header' '"(core/fo_[a-z_]+|mod_failover)\.h"' \
    src/core/*.[ch]
allow 'probes include themselves and the core' '"(probe/probe_[a-z_]+|core/fo_[a-z_]+|mod_failover)\.h"' \
    src/probe/*.[ch]
allow 'modules include the public header and their probe' '"(mod_failover|probe/probe_[a-z]+)\.h"' \
    src/module/*.c
allow 'httpd includes itself and what is below' \
    '"(httpd/httpd_[a-z_]+|probe/probe_[a-z_]+|core/fo_[a-z_]+|mod_failover)\.h"' src/httpd/*.[ch]
allow 'the map includes httpd alone' '"httpd/httpd_[a-z_]+\.h"' mod_failover.c

[ "$failed" -eq 0 ] && echo ok
exit "$failed"
