/*
 * The number of relay keys that are neither revoked nor expired, as SQL expressions that do not walk over all
 * keys: the table `key_counts` has those that are not revoked, and an index those of them that expire.
 */
#ifndef RELAY_ADMIN_STORE_KEYCOUNT_H
#define RELAY_ADMIN_STORE_KEYCOUNT_H

#define KEYCOUNT_EXPIRED_                                                                          \
	"(SELECT count(*) FROM keys e INDEXED BY keys_by_expiry WHERE e.revoked_ms = 0"            \
	" AND e.expires_ms > 0 AND e.expires_ms <= unixepoch() * 1000"

#define KEYCOUNT_ALL "(SELECT coalesce(sum(live), 0) FROM key_counts) - " KEYCOUNT_EXPIRED_ ")"
/* `tenant`: an SQL expression, the id of a tenant. */
#define KEYCOUNT_OF(tenant)                                                                        \
	"coalesce((SELECT live FROM key_counts c WHERE c.tenant_id = " tenant                      \
	"), 0) - " KEYCOUNT_EXPIRED_ " AND e.tenant_id = " tenant ")"

#endif
