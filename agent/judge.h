/*
 * Judging: from what HAProxy tells of an attempt to the health of its account and of its way out, and
 * onto the board for all to see.
 */
#ifndef RELAY_AGENT_JUDGE_H
#define RELAY_AGENT_JUDGE_H

#include "agent/agent.h"
#include "common/record.h"

/* Of a stream that ended at a server, or that was taken back from one. */
void judge_record(struct agent *a, const struct record *r, bool is_answer, bool was_taken);
/* Early news: the head of an answer to the attempt that the lease is in. */
void judge_head(
	struct agent *a, const struct statefile_lease *lease, unsigned status, struct slice limits);
/* What `again` says of the attempt before; `now` = the lease as it goes on. */
void judge_failure(struct agent *a, const struct statefile_lease *before,
	const struct statefile_lease *now, const struct decide_failure *failure);

/* Writes the standing of an account onto the board; of all accounts and ways out. */
void judge_show_account(struct agent *a, const struct snapshot_account *account, int64_t now_ms);
void judge_show_all(struct agent *a, int64_t now_ms);

#endif
