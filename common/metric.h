/* What is said of a metric: the row that its samples, its HELP line and docs/METRICS.md come from. */
#ifndef RELAY_COMMON_METRIC_H
#define RELAY_COMMON_METRIC_H

#define METRIC_LABELS_MAX 2

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
};

struct metric_row {
	const char *name;
	enum metric_type type;
	const char *labels[METRIC_LABELS_MAX]; /* NULL = no more */
	const char *unit;
	const char *help; /* full sentences; `words` in it are code */
};

#endif
