/*
 * The journal of refreshes (table `refreshes`): one row an account, from the durable intent to use its
 * refresh token until the outcome is known and acted on. A row without a reply says that the token of
 * generation `parent` may have been used, `sends` times; one with a reply that the answer is there
 * and only has to be read. So a control that dies at any moment loses nothing that had arrived.
 *
 * All but reading writes; a single call outside of a transaction is one of its own.
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
 * 0, or -ENOENT: no row. A reply that does not open (another vault) is as one that was not readable:
 * empty. `ret` is filled in any case; refresh_row_fini() is due.
 */
int refresh_journal_get(struct store *s, const struct vault *v, int64_t account,
	struct refresh_row *ret, struct errtext *e);
void refresh_row_fini(struct refresh_row *r);

/* The intent, durable when it returns outside of a transaction: from now on the token may be used. */
int refresh_journal_intend(
	struct store *s, int64_t account, int64_t parent, int64_t now_ms, struct errtext *e);
/* The raw reply, before anything of it is read. -ENOENT: the row is gone, nobody wants it. */
int refresh_journal_reply(struct store *s, const struct vault *v, int64_t account, int64_t parent,
	unsigned status, struct slice body, int64_t now_ms, struct errtext *e);

/* The outcome stays unknown: a reply that could not be used goes, the intent stays. */
int refresh_journal_keep(struct store *s, int64_t account, struct errtext *e);
/* The last sending certainly used nothing up; a row without any other goes. */
int refresh_journal_unsend(struct store *s, int64_t account, struct errtext *e);
int refresh_journal_clear(struct store *s, int64_t account, struct errtext *e);

#endif
