/*
 * The samples of one metric as Prometheus text. The names of the metric and of its labels come from its row
 * alone: a metric without a row cannot be shown.
 */
#ifndef RELAY_ADMIN_API_SAMPLES_H
#define RELAY_ADMIN_API_SAMPLES_H

#include "common/board.h"
#include "common/buffer.h"
#include "common/metric.h"

struct samples {
	const struct metric_row *row;
	struct buffer *out;
};

/* HELP and TYPE of the row, whose samples follow. */
void samples_begin(struct samples *s, const struct metric_row *row);
/* One sample. Values of the row's labels, in their order; NULL for labels that it does not have. */
void samples_put(const struct samples *s, uint64_t value, const char *first, const char *second);
void samples_put_fraction(const struct samples *s, double value, const char *first);
/* `bound_of` gives the upper bound of a bucket in seconds; the last one is +Inf. `h` NULL: all zero. */
typedef double samples_bound_fn(size_t bucket);
void samples_put_histogram(const struct samples *s, const struct board_histogram *h, size_t buckets,
	samples_bound_fn *bound_of, const char *first);

const char *samples_type_name(enum metric_type type);

#endif
