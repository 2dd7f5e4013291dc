/*
 * Pings a Redis by the driver itself, on one thread, and prints how many and what they cost.
 *
 *     pings PORT SECONDS AT_ONCE [RATE]
 *
 * RATE: pings a second, begun as evenly as the clock allows; without it, as many as there can be.
 * Prints the pings, the seconds, and the microseconds of this process's time for each.
 */
#include "probe/probe_clock.h"
#include "probe/probe_flight.h"
#include "probe/probe_redis.h"

#include <apr_general.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define AT_ONCE_MAX 512

static probe_field_t field;
static fo_check_t check;
static probe_flight_t *flights[AT_ONCE_MAX];
static unsigned n_flights;
static unsigned long n_begun, n_passed;

static void wake(void *unused)
{
    (void)unused;
}

static void configure(apr_port_t port, apr_pool_t *pool)
{
    static fo_host_t host = { .name = "127.0.0.1" };
    static fo_url_t url = { .text = "redis://127.0.0.1", .scheme = "redis", .hosts = &host,
                            .n_hosts = 1, .path = "" };
    fo_login_t login = { 0 };
    const char *warning = NULL;
    void *conf = NULL;

    host.port = port;
    if (fo_probe_redis.configure(&url, &login, apr_table_make(pool, 1), &conf, &warning, pool))
        abort();
    check = (fo_check_t){ .probe = &fo_probe_redis, .conf = conf, .url = &url };
    field.resolver = probe_resolver_make(1, wake, NULL);
}

static void begin_one(apr_time_t now)
{
    probe_order_t order = { .check = &check, .timeout = 3 * APR_USEC_PER_SEC };

    flights[n_flights++] = probe_flight_start(&field, &order, now);
    n_begun++;
}

static void end_those_over(void)
{
    for (unsigned i = 0; i < n_flights;) {
        probe_flight_t *flight = flights[i];
        if (!flight->is_over) {
            i++;
            continue;
        }
        if (flight->report.verdict != FO_VERDICT_PASS) {
            fprintf(stderr, "a ping failed: %s\n", flight->report.text);
            exit(1);
        }
        n_passed++;
        probe_flight_free(flight);
        flights[i] = flights[--n_flights];
    }
}

static void wait_and_go_on(int milliseconds)
{
    struct pollfd fds[AT_ONCE_MAX];
    unsigned n = n_flights;
    apr_time_t now;

    for (unsigned i = 0; i < n; i++)
        fds[i] = (struct pollfd){ .fd = flights[i]->fd, .events = flights[i]->events };
    if (poll(fds, n, milliseconds) <= 0)
        return;
    now = probe_clock_now();
    for (unsigned i = 0; i < n; i++)
        if (fds[i].revents)
            probe_flight_ready(flights[i], fds[i].revents, now);
}

static double seconds_used(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char *argv[])
{
    apr_pool_t *pool;
    unsigned at_once = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
    double rate = argc > 4 ? atof(argv[4]) : 1e9, used, took;
    apr_time_t began_at, now;

    if (at_once == 0 || at_once > AT_ONCE_MAX)
        return 2;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    configure((apr_port_t)atoi(argv[1]), pool);
    used = seconds_used();
    began_at = now = probe_clock_now();
    while (now - began_at < apr_time_from_sec(atoi(argv[2]))) {
        double due = rate * (double)(now - began_at) / APR_USEC_PER_SEC;
        while (n_flights < at_once && (double)n_begun < due)
            begin_one(now);
        wait_and_go_on(1);
        end_those_over();
        now = probe_clock_now();
    }
    took = (double)(now - began_at) / APR_USEC_PER_SEC;
    printf("%lu %.3f %.2f\n", n_passed, took, (seconds_used() - used) * 1e6 / (double)n_passed);
    return 0;
}
