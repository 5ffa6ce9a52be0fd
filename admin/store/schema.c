#include "admin/store/schema.h"

/*
 * Lists (allow_ip, headers) are kept as text in the form the user gave: CIDRs comma-separated, headers
 * as a JSON object. Times are Unix milliseconds; 0 means never. Limits: 0 means unlimited.
 */
static const char first[] =
	"CREATE TABLE settings ("
	" name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
	"CREATE TABLE upstreams ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL,"
	" provider TEXT NOT NULL, strip TEXT NOT NULL DEFAULT '', headers TEXT NOT NULL DEFAULT '{}',"
	" ca_pem TEXT NOT NULL DEFAULT '', first_byte_timeout_ms INTEGER NOT NULL DEFAULT 0,"
	" token_url TEXT NOT NULL DEFAULT '', client_id TEXT NOT NULL DEFAULT '',"
	" created_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE egresses ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" kind TEXT NOT NULL CHECK (kind IN ('direct','source','socks4','node')),"
	" address TEXT NOT NULL DEFAULT '', region TEXT NOT NULL DEFAULT '',"
	" shared INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL) STRICT;"
	"INSERT INTO egresses (name, kind, shared, created_ms) VALUES ('direct', 'direct', 1, 0);"
	"CREATE TABLE accounts ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" upstream_id INTEGER NOT NULL REFERENCES upstreams ON DELETE RESTRICT,"
	" weight INTEGER NOT NULL DEFAULT 100, region TEXT NOT NULL DEFAULT '',"
	" rpm INTEGER NOT NULL DEFAULT 0, rph INTEGER NOT NULL DEFAULT 0,"
	" concurrency INTEGER NOT NULL DEFAULT 0, max_consecutive INTEGER NOT NULL DEFAULT 0,"
	" pace_min_ms INTEGER NOT NULL DEFAULT 0, pace_max_ms INTEGER NOT NULL DEFAULT 0,"
	" headers TEXT NOT NULL DEFAULT '{}',"
	" suspended INTEGER NOT NULL DEFAULT 0, suspend_reason TEXT NOT NULL DEFAULT '',"
	" source TEXT NOT NULL CHECK (source IN ('token','auth-json','watch')),"
	" watch_path TEXT NOT NULL DEFAULT '', created_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE account_egresses ("
	" account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,"
	" egress_id INTEGER NOT NULL REFERENCES egresses ON DELETE RESTRICT,"
	" position INTEGER NOT NULL, PRIMARY KEY (account_id, egress_id)) STRICT;"
	"CREATE TABLE credentials ("
	" account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,"
	" field TEXT NOT NULL,"				      /* credential_field_name() */
	" generation INTEGER NOT NULL, sealed BLOB NOT NULL," /* vault.h */
	" expires_ms INTEGER NOT NULL DEFAULT 0, updated_ms INTEGER NOT NULL,"
	" PRIMARY KEY (account_id, field)) STRICT;"
	"CREATE TABLE pools ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" upstream_id INTEGER NOT NULL REFERENCES upstreams ON DELETE RESTRICT,"
	" strategy TEXT NOT NULL DEFAULT 'sticky'"
	"  CHECK (strategy IN ('sticky','least-loaded','round-robin')),"
	" sticky TEXT NOT NULL DEFAULT 'soft' CHECK (sticky IN ('soft','hard')),"
	" wait_ms INTEGER NOT NULL DEFAULT 10000, created_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE pool_members ("
	" pool_id INTEGER NOT NULL REFERENCES pools ON DELETE CASCADE,"
	" account_id INTEGER NOT NULL REFERENCES accounts ON DELETE RESTRICT,"
	" position INTEGER NOT NULL, PRIMARY KEY (pool_id, account_id)) STRICT;"
	"CREATE TABLE tenants ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" enabled INTEGER NOT NULL DEFAULT 1, shadow INTEGER NOT NULL DEFAULT 0,"
	" pool_id INTEGER REFERENCES pools ON DELETE RESTRICT, allow_ip TEXT NOT NULL DEFAULT '',"
	" rps INTEGER NOT NULL DEFAULT 0, rpm INTEGER NOT NULL DEFAULT 0,"
	" rph INTEGER NOT NULL DEFAULT 0, concurrency INTEGER NOT NULL DEFAULT 0,"
	" daily INTEGER NOT NULL DEFAULT 0, monthly INTEGER NOT NULL DEFAULT 0,"
	" wait TEXT NOT NULL DEFAULT 'refuse'" /* refuse | forever | milliseconds in decimal */
	" , created_ms INTEGER NOT NULL) STRICT;"
	"CREATE TABLE keys ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" tenant_id INTEGER NOT NULL REFERENCES tenants ON DELETE RESTRICT,"
	" pool_id INTEGER REFERENCES pools ON DELETE RESTRICT, name TEXT NOT NULL DEFAULT '',"
	" hash BLOB NOT NULL UNIQUE, last4 TEXT NOT NULL, allow_ip TEXT NOT NULL DEFAULT '',"
	" rps INTEGER NOT NULL DEFAULT 0, rpm INTEGER NOT NULL DEFAULT 0,"
	" rph INTEGER NOT NULL DEFAULT 0, concurrency INTEGER NOT NULL DEFAULT 0,"
	" created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL DEFAULT 0,"
	" revoked_ms INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL) STRICT;"
	"CREATE INDEX keys_by_version ON keys (version);"
	"CREATE INDEX keys_by_tenant ON keys (tenant_id);"
	"CREATE TABLE backends (" /* immutable ids, known from first_gen to last_gen */
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" upstream_id INTEGER NOT NULL REFERENCES upstreams ON DELETE CASCADE,"
	" egress_id INTEGER NOT NULL REFERENCES egresses ON DELETE CASCADE,"
	" fingerprint TEXT NOT NULL," /* of all that is rendered or depends on the URL */
	" name TEXT NOT NULL, prefix TEXT NOT NULL, strip TEXT NOT NULL,"
	" first_gen INTEGER NOT NULL, last_gen INTEGER) STRICT;" /* NULL = current */
	"CREATE INDEX backends_by_pair ON backends (upstream_id, egress_id);"
	"CREATE TABLE header_slots ("
	" variable TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE,"
	" first_gen INTEGER NOT NULL, last_gen INTEGER) STRICT;";

static const char bans[] =
	"CREATE TABLE bans ("
	" network TEXT NOT NULL PRIMARY KEY," /* as cidr_format() writes it */
	" reason TEXT NOT NULL DEFAULT '',"
	" source TEXT NOT NULL CHECK (source IN ('operator','agent')),"
	" created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE INDEX bans_by_expiry ON bans (expires_ms);"
	"ALTER TABLE tenants ADD COLUMN own INTEGER NOT NULL DEFAULT 0;";

/* Ids without REFERENCES: a request outlives its tenant. `number` rises with the end of requests. */
static const char requests[] =
	"CREATE TABLE requests ("
	" number INTEGER PRIMARY KEY, id BLOB NOT NULL, started_ms INTEGER NOT NULL,"
	" tenant_id INTEGER NOT NULL, key_id INTEGER NOT NULL, account_id INTEGER NOT NULL,"
	" egress_id INTEGER NOT NULL, upstream_id INTEGER NOT NULL," /* 0 = none */
	" ttfb_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL,"   /* -1 = none */
	" status INTEGER NOT NULL, retries INTEGER NOT NULL,"
	" bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,"
	" termination TEXT NOT NULL, code TEXT NOT NULL, label TEXT NOT NULL) STRICT;"
	"CREATE INDEX requests_by_id ON requests (id);"
	"CREATE INDEX requests_by_tenant ON requests (tenant_id);"
	"CREATE INDEX requests_by_time ON requests (started_ms);";

/*
 * `epoch` rises when an operator clears what the agent holds against an account or an egress.
 * `refreshes` is the journal of token refreshes (refresh.h): a row exists from the durable intent
 * to the commit; `reply` holds the raw answer, sealed, before it is parsed.
 */
static const char health[] =
	"ALTER TABLE accounts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE accounts ADD COLUMN needs_login TEXT NOT NULL DEFAULT '';" /* why; empty = no */
	"ALTER TABLE egresses ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE egresses ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE egresses ADD COLUMN suspend_reason TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE egresses ADD COLUMN seen_ip TEXT NOT NULL DEFAULT '';" /* by the echo endpoint */
	"ALTER TABLE egresses ADD COLUMN checked_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE egresses ADD COLUMN node_cert TEXT NOT NULL DEFAULT '';" /* paths, for nodes */
	"ALTER TABLE egresses ADD COLUMN node_ca TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX account_egresses_by_egress ON account_egresses (egress_id);"
	"CREATE TABLE refreshes ("
	" account_id INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,"
	" parent INTEGER NOT NULL," /* generation of the refresh token in use */
	" attempt INTEGER NOT NULL, intent_ms INTEGER NOT NULL,"
	" status INTEGER NOT NULL DEFAULT 0, reply BLOB, reply_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE TABLE notices ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL,"
	" message TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 1,"
	" created_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
	" acked_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE UNIQUE INDEX notices_open ON notices (kind, subject) WHERE acked_ms = 0;";

/* The path of an account's probe (probe_request.h): empty = the path of the provider's row. */
static const char probes[] =
	"ALTER TABLE upstreams ADD COLUMN probe_path TEXT NOT NULL DEFAULT '';";

/* Whether several tenants use a pool is asked at every publishing. */
static const char sharing[] =
	"CREATE INDEX tenants_by_pool ON tenants (pool_id);"
	"CREATE INDEX keys_by_pool ON keys (pool_id, tenant_id) WHERE pool_id IS NOT NULL;";

/*
 * The family of a key: the first key of its chain of rotations, without REFERENCES, since it may be
 * deleted; 0 = the key itself. A rotation leaves both keys with one version until one of them changes
 * again. Other transactions that write two keys leave neither revoked, and both with one expiry.
 */
static const char families[] =
	"ALTER TABLE keys ADD COLUMN daily INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE keys ADD COLUMN monthly INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE keys ADD COLUMN family INTEGER NOT NULL DEFAULT 0;"
	"UPDATE keys SET family = old.id FROM"
	" (SELECT min(id) AS first, max(id) AS last FROM keys GROUP BY version HAVING count(*) = 2)"
	" AS pair JOIN keys AS old ON old.id = pair.first"
	" WHERE keys.id = pair.last AND keys.tenant_id = old.tenant_id AND (old.revoked_ms > 0"
	" OR (old.expires_ms > 0 AND old.expires_ms <> keys.expires_ms));";

/*
 * `unread` is a reply that nothing could be read from, sealed as `reply`. The rows of the second table
 * are refusals of a refresh token that would be the same tomorrow (refresh_refusals.h).
 */
static const char refusals[] =
	"ALTER TABLE refreshes ADD COLUMN encoding TEXT NOT NULL DEFAULT '';" /* Content-Encoding */
	"ALTER TABLE refreshes ADD COLUMN unread BLOB;"
	"CREATE TABLE refresh_refusals ("
	" account_id INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,"
	" parent INTEGER NOT NULL," /* generation of the refresh token */
	" since_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, lasted_ms INTEGER NOT NULL,"
	" answers INTEGER NOT NULL) STRICT;";

/* A third kind of stickiness: SQLite changes a CHECK only with its column. */
static const char stickiness[] = "ALTER TABLE pools RENAME COLUMN sticky TO old_sticky;"
				 "ALTER TABLE pools ADD COLUMN sticky TEXT NOT NULL DEFAULT 'soft'"
				 " CHECK (sticky IN ('soft','hard','free'));"
				 "UPDATE pools SET sticky = old_sticky;"
				 "ALTER TABLE pools DROP COLUMN old_sticky;";

/* The headers and egresses of an account by generation (account_sets.h). Egresses are ids with commas. */
static const char sets[] =
	"CREATE TABLE account_sets ("
	" account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,"
	" first_gen INTEGER NOT NULL, last_gen INTEGER," /* NULL = the newest */
	" upstream_headers TEXT NOT NULL, headers TEXT NOT NULL,"
	" has_id INTEGER NOT NULL," /* its provider's id of the account is a header */
	" egresses TEXT NOT NULL, PRIMARY KEY (account_id, first_gen)) STRICT;"
	"CREATE INDEX account_sets_by_end ON account_sets (last_gen);";

/* `number` rises with time, so the oldest rows are found without it. */
static const char request_ages[] = "DROP INDEX requests_by_time;";

/*
 * Counts of keys without a walk over all of them (keycount.h): `live` are those that are not revoked, expired
 * or not.
 */
static const char key_counts[] =
	"CREATE TABLE key_counts ("
	" tenant_id INTEGER PRIMARY KEY, live INTEGER NOT NULL) STRICT;"
	"INSERT INTO key_counts SELECT tenant_id, count(*) FROM keys WHERE revoked_ms = 0"
	" GROUP BY tenant_id;"
	"CREATE INDEX keys_by_expiry ON keys (expires_ms, tenant_id)"
	" WHERE revoked_ms = 0 AND expires_ms > 0;"
	"CREATE TRIGGER key_counts_in AFTER INSERT ON keys WHEN NEW.revoked_ms = 0 BEGIN"
	" INSERT INTO key_counts VALUES (NEW.tenant_id, 1)"
	"  ON CONFLICT (tenant_id) DO UPDATE SET live = live + 1; END;"
	"CREATE TRIGGER key_counts_out AFTER DELETE ON keys WHEN OLD.revoked_ms = 0 BEGIN"
	" UPDATE key_counts SET live = live - 1 WHERE tenant_id = OLD.tenant_id; END;"
	"CREATE TRIGGER key_counts_revoked AFTER UPDATE OF revoked_ms ON keys"
	" WHEN (OLD.revoked_ms = 0) <> (NEW.revoked_ms = 0) BEGIN"
	" UPDATE key_counts SET live = live + iif(NEW.revoked_ms = 0, 1, -1)"
	"  WHERE tenant_id = NEW.tenant_id; END;";

/* To the hour (keyuse.h); 0 = never. The index finds the keys that ended long ago (key_purge.h). */
static const char key_use[] = "ALTER TABLE keys ADD COLUMN used_ms INTEGER NOT NULL DEFAULT 0;"
			      "CREATE INDEX keys_by_end ON keys"
			      " (CASE WHEN revoked_ms > 0 THEN revoked_ms ELSE expires_ms END)"
			      " WHERE revoked_ms > 0 OR expires_ms > 0;";

/*
 * More of a request. `attempts` are struct board_attempt one after the other: those that failed. The
 * conversation's hash is 64 bits, with a sign here.
 */
static const char request_details[] =
	"ALTER TABLE requests ADD COLUMN method TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE requests ADD COLUMN path TEXT NOT NULL DEFAULT '';" /* without the query */
	"ALTER TABLE requests ADD COLUMN provider TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE requests ADD COLUMN region TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE requests ADD COLUMN pool_id INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE requests ADD COLUMN conversation INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE requests ADD COLUMN relay_ms INTEGER NOT NULL DEFAULT -1;"
	"ALTER TABLE requests ADD COLUMN active INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE requests ADD COLUMN circuit INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE requests ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;" /* 0 = not known */
	"ALTER TABLE requests ADD COLUMN attempts BLOB NOT NULL DEFAULT x'';";

static const char websockets[] =
	"ALTER TABLE upstreams ADD COLUMN websocket INTEGER NOT NULL DEFAULT 0;";

/*
 * `login` is the form of the credential file that an account came from (common/provider.h), empty for those
 * of older versions. An empty client id is the upstream's.
 */
static const char logins[] = "ALTER TABLE accounts ADD COLUMN login TEXT NOT NULL DEFAULT '';"
			     "ALTER TABLE accounts ADD COLUMN client_id TEXT NOT NULL DEFAULT '';";

/*
 * The account of the resources of a key family in a pool (resources.h). `family` is without REFERENCES, as in
 * `keys`. pool_reach: the first and the last tenant that use an account of the pool, by any pool, or have resources
 * at it; NULL = there is none.
 */
static const char resources[] =
	"ALTER TABLE pools ADD COLUMN resources TEXT NOT NULL DEFAULT 'exclusive'"
	" CHECK (resources IN ('exclusive','shared'));"
	"CREATE TABLE resource_bindings ("
	" family INTEGER NOT NULL, pool_id INTEGER NOT NULL REFERENCES pools ON DELETE CASCADE,"
	" tenant_id INTEGER NOT NULL REFERENCES tenants ON DELETE CASCADE,"
	" account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,"
	" used_ms INTEGER NOT NULL, PRIMARY KEY (family, pool_id)) STRICT;"
	"CREATE INDEX resource_bindings_by_use ON resource_bindings (used_ms);"
	"CREATE INDEX resource_bindings_by_tenant ON resource_bindings (tenant_id, used_ms);"
	"CREATE INDEX resource_bindings_by_account ON resource_bindings (account_id, tenant_id);"
	"CREATE INDEX resource_bindings_by_pool ON resource_bindings (pool_id);"
	"CREATE VIEW pool_reach AS WITH users AS MATERIALIZED ("
	"  SELECT p.id AS pool_id,"
	"   (SELECT min(id) FROM tenants WHERE pool_id = p.id) AS first_tenant,"
	"   (SELECT max(id) FROM tenants WHERE pool_id = p.id) AS last_tenant,"
	"   (SELECT min(tenant_id) FROM keys WHERE pool_id = p.id) AS first_owner,"
	"   (SELECT max(tenant_id) FROM keys WHERE pool_id = p.id) AS last_owner FROM pools p),"
	" reach AS MATERIALIZED ("
	"  SELECT account_id, min(first) AS first, max(last) AS last FROM ("
	"   SELECT m.account_id, coalesce(min(first_tenant, first_owner), first_tenant, first_owner)"
	"    AS first, coalesce(max(last_tenant, last_owner), last_tenant, last_owner) AS last"
	"    FROM pool_members m JOIN users USING (pool_id)"
	"   UNION ALL SELECT account_id, min(tenant_id), max(tenant_id) FROM resource_bindings"
	"    GROUP BY account_id)"
	"  GROUP BY account_id)"
	" SELECT m.pool_id, min(r.first) AS first, max(r.last) AS last"
	"  FROM pool_members m JOIN reach r ON r.account_id = m.account_id GROUP BY m.pool_id;";

/* The upstream's own, for people who ask it. */
static const char answer_ids[] =
	"ALTER TABLE requests ADD COLUMN upstream_request_id TEXT NOT NULL DEFAULT '';";

static const char http2[] = "ALTER TABLE upstreams ADD COLUMN http2 INTEGER NOT NULL DEFAULT 0;";

static const char *const migrations[] = {first, bans, requests, health, probes, sharing, families,
	refusals, stickiness, sets, request_ages, key_counts, key_use, request_details, websockets,
	logins, resources, answer_ids, http2};

const char *const *schema_migrations(size_t *ret_count)
{
	*ret_count = sizeof(migrations) / sizeof(migrations[0]);
	return migrations;
}
