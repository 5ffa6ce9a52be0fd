/*
 * What `requests why` says where something is missing: the reasons of a decision, or the end of a request.
 * Nothing is said that the board and the state file do not show.
 */
#ifndef RELAY_ADMIN_API_ABSENCE_H
#define RELAY_ADMIN_API_ABSENCE_H

#include "admin/api/reasons.h"
#include "admin/control.h"
#include "common/board.h"

#include <stddef.h>

#define ABSENCE_SIZE 128

/* Why a finished request has no reasons. Returns `out`. */
const char *absence_of_reasons(
	const struct board *b, const struct board_request *finished, char out[ABSENCE_SIZE]);
/* Why a request with reasons has no end. NULL: a refusal, whose reasons are all there is. */
const char *absence_of_end(const struct control *c, const uint8_t id[16],
	const struct reasons *reasons, int64_t now_ms);

#endif
