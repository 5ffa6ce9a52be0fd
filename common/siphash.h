/*
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): a short keyed hash for tables
 * that strangers fill. Without the key nobody can make two texts meet.
 */
#ifndef RELAY_COMMON_SIPHASH_H
#define RELAY_COMMON_SIPHASH_H

#include "common/slice.h"

#include <stdint.h>

#define SIPHASH_KEY_LEN 16

uint64_t siphash(const uint8_t key[SIPHASH_KEY_LEN], struct slice text);

#endif
