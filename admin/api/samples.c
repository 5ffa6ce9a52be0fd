#include "admin/api/samples.h"

#include <inttypes.h>
#include <stdio.h>

const char *samples_type_name(enum metric_type type)
{
	static const char *const names[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	return names[type];
}

void samples_begin(struct samples *s, const struct metric_row *row)
{
	s->row = row;
	buffer_printf(s->out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
		samples_type_name(row->type));
}

/* `le` NULL: not of a bucket. */
static void put_name(const struct samples *s, const char *suffix, const char *first,
	const char *second, const char *le)
{
	const char *values[METRIC_LABELS_MAX] = {first, second};
	const char *separator = "{";

	buffer_printf(s->out, "%s%s", s->row->name, suffix);
	for (size_t i = 0; i < METRIC_LABELS_MAX && s->row->labels[i]; i++) {
		buffer_printf(s->out, "%s%s=\"%s\"", separator, s->row->labels[i],
			values[i] ? values[i] : "");
		separator = ",";
	}
	if (le)
		buffer_printf(s->out, "%sle=\"%s\"", separator, le);
	if (le || s->row->labels[0])
		buffer_append_str(s->out, "}");
}

void samples_put(const struct samples *s, uint64_t value, const char *first, const char *second)
{
	put_name(s, "", first, second, NULL);
	buffer_printf(s->out, " %" PRIu64 "\n", value);
}

void samples_put_fraction(const struct samples *s, double value, const char *first)
{
	put_name(s, "", first, NULL, NULL);
	buffer_printf(s->out, " %.6f\n", value);
}

void samples_put_histogram(const struct samples *s, const struct board_histogram *h, size_t buckets,
	samples_bound_fn *bound_of, const char *first)
{
	uint64_t count = 0;
	char le[32];

	for (size_t i = 0; i < buckets; i++) {
		count += h ? board_get(&h->buckets[i]) : 0;
		if (i + 1 < buckets)
			snprintf(le, sizeof(le), "%.6g", bound_of(i));
		put_name(s, "_bucket", first, NULL, i + 1 < buckets ? le : "+Inf");
		buffer_printf(s->out, " %" PRIu64 "\n", count);
	}
	put_name(s, "_sum", first, NULL, NULL);
	buffer_printf(s->out, " %.6f\n", h ? (double)board_get(&h->sum_us) / 1e6 : 0.0);
	put_name(s, "_count", first, NULL, NULL);
	buffer_printf(s->out, " %" PRIu64 "\n", count);
}
