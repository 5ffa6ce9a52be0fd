/*
 * Admits one refresh at a time for each client id, with a pause after it. Pure; times are
 * monotonic.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_GATE_H
#define RELAY_ADMIN_UPKEEP_REFRESH_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFRESH_GATES_MAX 256 /* client ids in use or in their pause; more have to wait */

struct refresh_gates {
	struct {
		uint64_t client; /* hash of the client id */
		int64_t free_ms; /* end of the pause */
		bool busy;
	} rows[REFRESH_GATES_MAX];
	size_t busy; /* refreshes in progress */
};

/* `hurry` skips the pause: the same token is sent again after an unknown outcome. */
bool refresh_gate_enter(struct refresh_gates *g, uint64_t client, int64_t now_ms, bool hurry);
void refresh_gate_leave(struct refresh_gates *g, uint64_t client, int64_t now_ms, int64_t pause_ms);

#endif
