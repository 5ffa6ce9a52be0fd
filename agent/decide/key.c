#include "agent/badkeys.h"
#include "agent/decide/decide.h"

/* Known to be bad without a look-up. */
static bool is_cached(const struct decide_context *c, struct slice key)
{
	return c->state->badkeys &&
		badkeys_is_cached(c->state->badkeys, key, c->snapshot->head->version);
}

/* Finds the key's row, or returns what is wrong with the key. */
static enum refusal look_up(struct decide_context *c, struct slice key)
{
	struct decide_verdict *v = c->verdict;
	uint8_t hash[RELAYKEY_HASH_LEN];

	v->bad_key = key;
	if (!relaykey_is_well_formed(key))
		return REFUSAL_INVALID_API_KEY;
	v->bad_key_cached = is_cached(c, key);
	if (v->bad_key_cached)
		return REFUSAL_INVALID_API_KEY;
	relaykey_hash(&c->snapshot->hasher, key, hash);
	v->key = snapshot_key(c->snapshot, hash, &c->scratch.key_table);
	v->tenant = v->key ? snapshot_tenant(c->snapshot, v->key->tenant_id) : NULL;
	if (!v->tenant)
		v->key = NULL; /* of the key base, and deleted since with its tenant */
	v->bad_key_unknown = !v->key;
	if (!v->key)
		return REFUSAL_INVALID_API_KEY;
	v->bad_key = (struct slice){NULL, 0};
	return REFUSAL_NONE;
}

enum refusal decide_key(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct slice key = c->request->key;

	if (key.n == 0)
		return REFUSAL_MISSING_API_KEY;
	enum refusal refusal = look_up(c, key);
	if (refusal != REFUSAL_NONE)
		return refusal;
	if (v->key->flags & SNAPSHOT_KEY_REVOKED)
		return REFUSAL_REVOKED_API_KEY;
	if (v->key->expires_ms && v->key->expires_ms <= c->clock.now_ms)
		return REFUSAL_EXPIRED_API_KEY;
	return REFUSAL_NONE;
}
