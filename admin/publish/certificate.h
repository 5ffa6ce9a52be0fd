/* PEM files of certificates, as an upstream's --ca-file. */
#ifndef RELAY_ADMIN_PUBLISH_CERTIFICATE_H
#define RELAY_ADMIN_PUBLISH_CERTIFICATE_H

#include "common/errtext.h"
#include "common/slice.h"

#define CERTIFICATE_PEM_MAX ((size_t)64 << 10)

/* At least one certificate, each readable, and no private key. 0 or -EINVAL with what is wrong. */
int certificate_check(struct slice pem, struct errtext *e);

#endif
