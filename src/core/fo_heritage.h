/*
 * fo_heritage.h: what a new child starts from: that which more than half of its siblings see of an
 * endpoint, as far as it is young enough to be true.
 */
#ifndef FO_HERITAGE_H
#define FO_HERITAGE_H

#include "core/fo_row.h"

/*
 * Of at least two rows that are younger than twice their frequency more than half say the same: the
 * youngest of these is returned. A row from before the last discovery that says otherwise is out of
 * date. Rows of children that have died count as long as they are young. False: there are no such
 * rows, or no majority.
 */
bool fo_heritage_find(const fo_shared_t *shared, const fo_endpoint_t *endpoint, apr_time_t now,
                      fo_row_t *ret_row);

#endif
