/* Where and how an account is refreshed, read from the store at the moment of use. */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_SEND_H
#define RELAY_ADMIN_UPKEEP_REFRESH_SEND_H

#include "admin/store/store.h"
#include "common/buffer.h"
#include "common/errtext.h"

#include <stdint.h>

#define REFRESH_TARGET_SIZE 512
#define REFRESH_BACKEND_SIZE 64

struct control;

struct refresh_send {
	int64_t parent; /* generation of the refresh token in `body` */
	char target[REFRESH_TARGET_SIZE];
	char backend
		[REFRESH_BACKEND_SIZE]; /* the token host, through an egress of the account's own */
	struct buffer body;
};

/*
 * `turn` chooses among the account's usable egresses: 0 the preferred one, and so on in a circle. 0;
 * -ENOENT: the account is gone, or has no usable egress, or nothing to refresh with, with the reason.
 */
int refresh_send_prepare(struct control *c, int64_t account, uint32_t turn,
	struct refresh_send *ret, struct errtext *e);
void refresh_send_fini(struct refresh_send *s);

#endif
