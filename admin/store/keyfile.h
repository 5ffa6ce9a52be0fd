/* The vault's key file: one line of 64 hex digits that only its owner can read. */
#ifndef RELAY_ADMIN_STORE_KEYFILE_H
#define RELAY_ADMIN_STORE_KEYFILE_H

#include "common/errtext.h"

#include <stdint.h>

#define KEYFILE_KEY_LEN 32

/* 0; -ENOENT (no such file); -EPERM (others can read it); -EINVAL (not a key); -errno. */
int keyfile_read(const char *path, uint8_t ret_key[KEYFILE_KEY_LEN], struct errtext *e);
/* Whether another file can take its place: -EINVAL if it is a link. */
int keyfile_check_place(const char *path, struct errtext *e);
/* Puts a key file in the place of another one, durable before it returns. 0 or -errno. */
int keyfile_replace(const char *from, const char *path);
/* Creates the file, mode 0400, durable before it returns. -EEXIST if it exists. */
int keyfile_create(const char *path, uint8_t ret_key[KEYFILE_KEY_LEN], struct errtext *e);

#endif
