/*
 * The check of a row of the state file: a sum of all its other bytes, in its last four. A row begins with
 * its state; its size is a multiple of 32.
 *
 * A row is changed while it is open: between staterow_open() and staterow_seal(), or while the undo row
 * has its old values. If the agent is killed meanwhile, the next one takes an open row as it is. A row is
 * free when its state and its check are 0, in this order; so a row whose state alone became 0 is not
 * taken for a free one.
 *
 * The sum finds damage, not intent: whoever may write to the file can also make a sum.
 */
#ifndef RELAY_COMMON_STATEROW_H
#define RELAY_COMMON_STATEROW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* For the functions here: staterow_seal(STATEROW(lease)). */
#define STATEROW(row) (row), sizeof(*(row))
#define STATEROW_OPEN 0x0be7c4a1u /* the check of an open row */

static inline uint64_t staterow_mix(uint64_t lane, uint64_t word)
{
	lane = (lane ^ word) * 0x9e3779b97f4a7c15u;
	return lane ^ lane >> 32;
}

static inline uint64_t staterow_word(const void *row, size_t at)
{
	uint64_t word;

	memcpy(&word, (const char *)row + at, sizeof(word));
	return word;
}

/* Never 0 and never STATEROW_OPEN. The lanes are independent, so a processor works on all at once. */
static inline uint32_t staterow_sum(const void *row, size_t size)
{
	uint64_t a = 1, b = 2, c = 3, d = 4;
	uint32_t last;

	for (size_t at = 0; at < size; at += 32) {
		bool is_last = at + 32 == size;
		a = staterow_mix(a, staterow_word(row, at));
		b = staterow_mix(b, staterow_word(row, at + 8));
		c = staterow_mix(c, staterow_word(row, at + 16));
		memcpy(&last, (const char *)row + at + 24, sizeof(last));
		d = staterow_mix(d, is_last ? last : staterow_word(row, at + 24));
	}
	/* the turn with 0 tells the same change in two lanes apart */
	a = staterow_mix(staterow_mix(a, 0), b);
	uint32_t sum = (uint32_t)staterow_mix(staterow_mix(a, c), d);
	return sum == 0 || sum == STATEROW_OPEN ? 1 : sum;
}

static inline uint32_t staterow_check(const void *row, size_t size)
{
	uint32_t check;

	memcpy(&check, (const char *)row + size - sizeof(check), sizeof(check));
	return check;
}

static inline uint32_t staterow_state(const void *row)
{
	uint32_t state;

	memcpy(&state, row, sizeof(state));
	return state;
}

/* The compiler must not move stores across it; the processor keeps their order for another process. */
static inline void staterow_put_check(void *row, size_t size, uint32_t check)
{
	atomic_signal_fence(memory_order_seq_cst);
	memcpy((char *)row + size - sizeof(check), &check, sizeof(check));
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void staterow_open(void *row, size_t size)
{
	staterow_put_check(row, size, STATEROW_OPEN);
}

static inline void staterow_seal(void *row, size_t size)
{
	staterow_put_check(row, size, staterow_sum(row, size));
}

/* After its state has become 0. */
static inline void staterow_free(void *row, size_t size)
{
	staterow_put_check(row, size, 0);
}

/* Of a row in use. */
static inline bool staterow_is_sound(const void *row, size_t size)
{
	uint32_t check = staterow_check(row, size);

	return check == staterow_sum(row, size) || check == STATEROW_OPEN;
}

/* Finds a single bit that was flipped, and flips it back. False: more than that is wrong. Slow. */
bool staterow_mend(void *row, size_t size);

#endif
