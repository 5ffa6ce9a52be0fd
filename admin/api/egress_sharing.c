#include "admin/api/egress_sharing.h"

#include "admin/api/query.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include <errno.h>

#define USERS_NAMED 5

/*
 * `o` are the egresses with the address of `e`; `x` gives `o` to an account. CROSS: SQLite takes the tables in this
 * order, which reads no account with another egress.
 */
#define SAME_WAY                                                                                   \
	" CROSS JOIN egresses o ON o.kind = e.kind AND o.address = e.address"                      \
	" CROSS JOIN account_egresses x ON x.egress_id = o.id"                                     \
	" CROSS JOIN accounts a ON a.id = x.account_id"
#define NOT_SHARED " e.kind <> 'direct' AND (e.shared = 0 OR o.shared = 0)"

static int refuse(struct request *r, struct row *row, void *context)
{
	struct slice egress = row_text(row, "egress");
	struct slice owner = row_text(row, "owner");

	(void)context;
	return errtext_set(&r->error, -EBUSY,
		"egress \"%.*s\" belongs to account \"%.*s\" and is not shared (relayadm egress set "
		"%.*s --shared on)",
		(int)egress.n, egress.p, (int)owner.n, owner.p, (int)egress.n, egress.p);
}

int egress_sharing_check_account(struct request *r, int64_t account)
{
	if (!request_has(r, "egress"))
		return 0;
	return query_each(r, refuse, NULL,
		"SELECT e.name AS egress, a.name AS owner FROM account_egresses w"
		" CROSS JOIN egresses e ON e.id = w.egress_id" SAME_WAY
		" WHERE w.account_id = ?1 AND x.account_id <> ?1 AND" NOT_SHARED
		" ORDER BY w.position, a.name",
		"i", account);
}

int egress_sharing_check_egress(struct request *r, int64_t egress)
{
	struct buffer names = {0};

	if (!request_has(r, "shared") && !request_has(r, "source") && !request_has(r, "socks4") &&
		!request_has(r, "node"))
		return 0;
	int count = query_names(r, &names, USERS_NAMED,
		"SELECT DISTINCT a.name FROM egresses e" SAME_WAY " WHERE e.id = ?1 AND" NOT_SHARED
		" ORDER BY a.name",
		"i", egress);
	if (count > 1)
		count = errtext_set(&r->error, -EBUSY,
			"several accounts use this address and it would not be shared: %s",
			buffer_str(&names));
	buffer_fini(&names);
	return count < 0 ? count : 0;
}
