/*
 * HAProxy's chroot, for `haproxy render` without --chroot: the line `chroot` in the section `global` of
 * HAProxy's main configuration.
 */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_CHROOT_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_CHROOT_H

#include "common/config.h"
#include "common/errtext.h"

#include <json-c/json_types.h>

#define HAPROXY_CHROOT_SIZE 256

/* Writes the chroot of a configuration, without a `/` at its end; empty = none. */
void haproxy_chroot_find(struct slice text, char out[HAPROXY_CHROOT_SIZE]);
#define HAPROXY_CHROOT_FOUND "chroot_found"
/*
 * Adds `chroot_found` to the options of a rendering, which counts where no `chroot` was given; empty = none. A
 * chroot that the relay's sockets are not in is left out: HAProxy may be another one than the one that this
 * file starts. `note` then says so; it is empty otherwise.
 */
void haproxy_chroot_add(const struct config *c, struct json_object *options, struct errtext *note);

#endif
