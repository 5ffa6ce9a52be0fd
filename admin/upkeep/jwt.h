/* The payload of a JWT (RFC 7519). The signature is not verified. */
#ifndef RELAY_ADMIN_UPKEEP_JWT_H
#define RELAY_ADMIN_UPKEEP_JWT_H

#include "common/buffer.h"
#include "common/errtext.h"
#include "common/slice.h"

#include <json-c/json.h>
#include <stdint.h>

#define JWT_PAYLOAD_MAX ((size_t)16 << 10)	 /* decoded */
#define JWT_EXPIRY_MAX_S ((int64_t)253402300799) /* the year 9999 */
#define JWT_DEPTH 16

/* `exp`, in milliseconds. 0 or -EINVAL with the reason, without a secret. */
int jwt_expiry(struct slice jwt, int64_t *ret_ms, struct errtext *e);
/* Appends the text at `path`, names that end with NULL. 0; -ENOENT: no JWT, or no such text. */
int jwt_text(struct slice jwt, const char *const *path, struct buffer *ret);

/* A JSON object, or NULL with the reason; `what` names the text in it. json_object_put() frees it. */
json_object *jwt_parse_object(struct slice text, const char *what, struct errtext *e);

#endif
