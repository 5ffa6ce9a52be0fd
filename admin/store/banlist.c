#include "admin/store/banlist.h"

#include "admin/store/boardmark.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "common/ban.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>

#define SETTING "bans_taken"
#define TEXT_SIZE 80

int banlist_purge(struct store *s, int64_t now_ms, struct errtext *e)
{
	return sql_run(
		s, e, "DELETE FROM bans WHERE expires_ms > 0 AND expires_ms <= ?1", "i", now_ms);
}

int banlist_bound(struct store *s, int64_t last_ms, struct errtext *e)
{
	return sql_run(s, e,
		"UPDATE bans SET expires_ms = ?1 WHERE source = 'agent' AND expires_ms > ?1", "i",
		last_ms);
}

int banlist_shift(struct store *s, int64_t step_ms, struct errtext *e)
{
	return sql_run(s, e,
		"UPDATE bans SET created_ms = max(created_ms + ?1, 1),"
		" expires_ms = max(expires_ms + ?1, 1) WHERE expires_ms > 0",
		"i", step_ms);
}

int banlist_is_full(struct store *s, bool *ret, struct errtext *e)
{
	int64_t count = 0;
	int error = sql_number(s, e, &count, "SELECT count(*) FROM bans", "");

	if (!error)
		*ret = count >= BANS_MAX;
	return error;
}

/* --- what has been taken --- */

int banlist_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e)
{
	return boardmark_get(s, SETTING, b, ret, e);
}

/* --- takeover --- */

/* The agent is trusted with single sources only: an IPv4 address or an IPv6 /64. */
static bool is_one_source(const struct cidr *net)
{
	return net->bits == (ip_is_v4(&net->ip) ? 128 : 64);
}

/* A ban that an operator has added stays unchanged. */
static int insert(struct store *s, const struct board_ban *ban, int64_t now_ms, struct errtext *e)
{
	struct cidr net = cidr_of(&ban->network.ip, ban->network.bits);
	char network[CIDR_TEXT_SIZE];
	char reason[TEXT_SIZE];

	snprintf(reason, sizeof(reason), "%u different bad keys within a minute", ban->bad_keys);
	return sql_run(s, e,
		"INSERT INTO bans (network, reason, source, created_ms, expires_ms)"
		" VALUES (?1, ?2, 'agent', ?3, ?4) ON CONFLICT (network) DO UPDATE SET"
		" reason = excluded.reason, expires_ms = max(expires_ms, excluded.expires_ms)"
		" WHERE source = 'agent'",
		"ttii", cidr_format(&net, network), reason, now_ms, ban->expires_ms);
}

/* A ban would hit others than the sender: an operator decides. */
static int tell_spared(struct store *s, const struct board_ban *ban, struct errtext *e)
{
	static const char *const reasons[BOARD_SPARED_COUNT] = {
		[BOARD_SPARED_LOOPBACK] = "it is an address of this machine",
		[BOARD_SPARED_TRUSTED] = "it is a proxy of --trust-forwarded",
		[BOARD_SPARED_SHARED] = "several tenants use it",
	};
	char network[CIDR_TEXT_SIZE];
	char subject[NOTICES_SUBJECT_SIZE];
	char message[NOTICES_MESSAGE_MAX];

	if (ban->spared >= BOARD_SPARED_COUNT)
		return 0;
	cidr_format(&ban->network, network);
	snprintf(message, sizeof(message),
		"%u different bad keys within a minute from %s, which is not banned: %s. To ban it: "
		"relayadm bans add %s",
		ban->bad_keys, network, reasons[ban->spared], network);
	return notices_raise(
		s, NOTICE_BAN_SPARED, notices_subject("address", network, subject), message, e);
}

static int take_one(struct store *s, const struct board_ban *ban, int64_t now_ms, struct errtext *e)
{
	bool full = false;

	if (!is_one_source(&ban->network))
		return 0;
	if (ban->spared != BOARD_SPARED_NOT)
		return tell_spared(s, ban, e);
	if (ban->expires_ms <= now_ms)
		return 0;
	int error = banlist_is_full(s, &full, e);
	if (error)
		return error;
	if (!full)
		return insert(s, ban, now_ms, e);
	log_event(LOG_LEVEL_WARNING, "a ban was not kept: the list is full",
		LOG_INT("max", BANS_MAX));
	return 0;
}

/* A ban that the ring has overwritten is lost: the agent bans the address again if it continues. */
int banlist_take(struct store *s, const struct board *b, int64_t now_ms, struct errtext *e)
{
	uint64_t written = atomic_load_explicit(&b->bans_written, memory_order_acquire);
	struct board_ban ban;
	uint64_t taken = 0;
	int error = banlist_taken(s, b, &taken, e);

	if (error || taken >= written)
		return error;
	error = banlist_purge(s, now_ms, e);
	if (written - taken > BOARD_BANS)
		taken = written - BOARD_BANS;
	for (; !error && taken < written; taken++) {
		int missing = board_read_ban(b, taken, &ban);
		if (missing == -EAGAIN)
			break;
		if (!missing)
			error = take_one(s, &ban, now_ms, e);
	}
	return error ? error : boardmark_put(s, SETTING, b, taken, e);
}
