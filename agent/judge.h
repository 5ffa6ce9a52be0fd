/*
 * Judging: from HAProxy's report of an attempt to the health of its account and backend, and onto
 * the board.
 */
#ifndef RELAY_AGENT_JUDGE_H
#define RELAY_AGENT_JUDGE_H

#include "agent/agent.h"
#include "common/record.h"

/* The record of a stream that ended at a server or was taken back from one. */
void judge_record(struct agent *a, const struct record *r, bool is_answer, bool was_taken);
/* Early report: the head of an answer to the lease's current attempt. */
void judge_head(
	struct agent *a, const struct statefile_lease *lease, unsigned status, struct slice limits);
/* The failed attempt that `again` reports; `now` = the lease after the move. */
void judge_failure(struct agent *a, const struct statefile_lease *before,
	const struct statefile_lease *now, const struct decide_failure *failure);

/* Writes the standing of an account to the board; of all accounts and backends. */
void judge_show_account(struct agent *a, const struct snapshot_account *account, int64_t now_ms);
void judge_show_all(struct agent *a, int64_t now_ms);

#endif
