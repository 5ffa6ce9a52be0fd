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
#include "admin/upkeep/refresh_reply.h"
#include "common/buffer.h"

struct refresh_row {
	int64_t parent;
	uint32_t sends;
	unsigned status; /* of the reply */
	bool has_reply;
	bool has_unread;   /* an earlier reply is kept that nothing could be read from */
	int64_t intent_ms; /* of the last send */
	int64_t reply_ms;
	char encoding[REFRESH_CODE_SIZE]; /* Content-Encoding of the reply */
	struct buffer reply;		  /* buffer_fini() wipes it */
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
	const struct refresh_raw *raw, struct errtext *e);

/*
 * The outcome stays unknown: deletes the unusable reply and keeps the intent. `unread`: puts the reply
 * aside, the first one of this token. It stays, sealed, until the token is replaced.
 */
int refresh_journal_keep(struct store *s, int64_t account, bool unread, struct errtext *e);
/*
 * The last send certainly used no token: counts it back. Deletes the row if there was no other
 * send.
 */
int refresh_journal_unsend(struct store *s, int64_t account, struct errtext *e);
int refresh_journal_clear(struct store *s, int64_t account, struct errtext *e);
/* The token is not sent again: deletes all but a reply that was put aside. */
int refresh_journal_close(struct store *s, int64_t account, struct errtext *e);

#endif
