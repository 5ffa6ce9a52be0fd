#include "agent/decide/decide.h"

#define SCHEME_LEN 7 /* "Bearer " */

/* CONTRACT.md "Relay keys": X-API-Key, else Authorization: Bearer rk_... */
static struct slice presented_key(const struct decide_request *r)
{
	struct slice key = slice_trim(r->key);

	return key.n || r->auth.n <= SCHEME_LEN ? key : slice_trim(slice_skip(r->auth, SCHEME_LEN));
}

enum refusal decide_key(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct slice key = presented_key(c->request);
	uint8_t hash[RELAYKEY_HASH_LEN];

	if (key.n == 0)
		return REFUSAL_MISSING_API_KEY;
	if (!relaykey_is_well_formed(key))
		return REFUSAL_INVALID_API_KEY;
	relaykey_hash(&c->snapshot->hasher, key, hash);
	v->key = snapshot_key(c->snapshot, hash, &v->key_table);
	if (!v->key)
		return REFUSAL_INVALID_API_KEY;
	v->tenant = snapshot_tenant(c->snapshot, v->key->tenant_id);
	if (v->key->flags & SNAPSHOT_KEY_REVOKED)
		return REFUSAL_REVOKED_API_KEY;
	if (v->key->expires_ms && v->key->expires_ms <= c->now_ms)
		return REFUSAL_EXPIRED_API_KEY;
	return REFUSAL_NONE;
}
