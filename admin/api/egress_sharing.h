/*
 * Owners of egresses: an egress that is not `shared` belongs to one account, so that an upstream sees
 * separate addresses for each account. Egresses with the same address count as one; every account may use
 * `direct`. To be called at the end of a change: a refused change is rolled back.
 */
#ifndef RELAY_ADMIN_API_EGRESS_SHARING_H
#define RELAY_ADMIN_API_EGRESS_SHARING_H

#include "admin/api/request.h"

/* After a change of the account's egresses: -EBUSY when one belongs to another account. */
int egress_sharing_check_account(struct request *r, int64_t account);
/*
 * After a change of an egress: -EBUSY when several accounts use it and it is no longer
 * shared.
 */
int egress_sharing_check_egress(struct request *r, int64_t egress);

#endif
