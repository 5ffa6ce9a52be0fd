#include "admin/upkeep/refresh_gate.h"

bool refresh_gate_enter(struct refresh_gates *g, uint64_t client, int64_t now_ms, bool hurry)
{
	size_t at = REFRESH_GATES_MAX;

	for (size_t i = 0; i < REFRESH_GATES_MAX; i++) {
		bool rests = g->rows[i].free_ms > now_ms;
		if (g->rows[i].client == client && (g->rows[i].busy || (rests && !hurry)))
			return false;
		if (g->rows[i].client == client ||
			(at == REFRESH_GATES_MAX && !rests && !g->rows[i].busy))
			at = i;
		if (g->rows[i].client == client)
			break;
	}
	if (at == REFRESH_GATES_MAX)
		return false;
	g->rows[at].client = client;
	g->rows[at].busy = true;
	g->busy++;
	return true;
}

void refresh_gate_leave(struct refresh_gates *g, uint64_t client, int64_t now_ms, int64_t pause_ms)
{
	for (size_t i = 0; i < REFRESH_GATES_MAX; i++) {
		if (g->rows[i].client != client || !g->rows[i].busy)
			continue;
		g->rows[i].busy = false;
		g->rows[i].free_ms = now_ms + pause_ms;
		g->busy--;
		return;
	}
}
