/*
 * fo_choose.h: which endpoint of a service is to be used; design: "States of an endpoint". Pure.
 * Endpoints stand in the order of the configuration, and are named by their rank in it.
 */
#ifndef FO_CHOOSE_H
#define FO_CHOOSE_H

#include "core/fo_health.h"

/* No endpoint. */
#define FO_CHOOSE_NONE ((unsigned)-1)

typedef struct fo_candidate_t {
    fo_state_e state;
    double weight;
    bool is_in_grace; /* it failed not long ago: only where nothing else is left */
} fo_candidate_t;

/* The heaviest of all, whatever its state; of equal ones the first. n: at least 1. */
unsigned fo_choose_primary(const fo_candidate_t *candidates, unsigned n);

/*
 * The one to be used. in_use: the one until now, which stays while it is usable, unless
 * may_fail_back and a better one is; or NONE. One that was never pinged is not gone over to.
 * NONE: none works.
 */
unsigned fo_choose(const fo_candidate_t *candidates, unsigned n, unsigned in_use,
                   bool may_fail_back);

#endif
