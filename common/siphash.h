/*
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): a short keyed hash for tables
 * with keys from clients. Without the key a client cannot produce collisions.
 */
#ifndef RELAY_COMMON_SIPHASH_H
#define RELAY_COMMON_SIPHASH_H

#include "common/slice.h"

#include <stdint.h>

#define SIPHASH_KEY_LEN 16

uint64_t siphash(const uint8_t key[SIPHASH_KEY_LEN], struct slice text);

#endif
