/*
 * The journal of refreshes (table `refreshes`) has one row per account, from the durable intent to
 * use the refresh token until the outcome is stored. A row without a reply: the token of generation
 * `parent` may have been used, `sends` times. A row with a reply: only parsing remains. So a crash
 * of control loses no reply that arrived.
 *
 * All functions except the reader write. A call outside a transaction is its own transaction.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_JOURNAL_H
#define RELAY_ADMIN_UPKEEP_REFRESH_JOURNAL_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/buffer.h"

struct refresh_row {
	int64_t parent;
	uint32_t sends;
	unsigned status; /* of the reply */
	bool has_reply;
	int64_t reply_ms;
	struct buffer reply; /* buffer_fini() wipes it */
};

/*
 * 0, or -ENOENT: no row. A reply that cannot be decrypted (another vault) counts as unreadable:
 * empty. `ret` is always filled; the caller calls refresh_row_fini().
 */
int refresh_journal_get(struct store *s, const struct vault *v, int64_t account,
	struct refresh_row *ret, struct errtext *e);
void refresh_row_fini(struct refresh_row *r);

/* Stores the intent. Outside a transaction it is durable on return, and the token may be sent. */
int refresh_journal_intend(
	struct store *s, int64_t account, int64_t parent, int64_t now_ms, struct errtext *e);
/* Stores the raw reply before it is parsed. -ENOENT: the row was deleted. */
int refresh_journal_reply(struct store *s, const struct vault *v, int64_t account, int64_t parent,
	unsigned status, struct slice body, int64_t now_ms, struct errtext *e);

/* The outcome stays unknown: deletes the unusable reply and keeps the intent. */
int refresh_journal_keep(struct store *s, int64_t account, struct errtext *e);
/*
 * The last send certainly used no token: counts it back. Deletes the row if there was no other
 * send.
 */
int refresh_journal_unsend(struct store *s, int64_t account, struct errtext *e);
int refresh_journal_clear(struct store *s, int64_t account, struct errtext *e);

#endif
