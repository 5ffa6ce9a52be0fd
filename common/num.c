#include "common/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
	const char *name;
	uint64_t factor;
};

int num_parse_u64(struct slice s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		uint64_t digit = (uint64_t)(s.p[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int num_parse_i64(struct slice s, int64_t *ret)
{
	uint64_t value;
	bool negative = s.n > 0 && s.p[0] == '-';
	int error = num_parse_u64(negative ? slice_skip(s, 1) : s, INT64_MAX, &value);

	if (error)
		return error;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

static int parse_with_unit(struct slice s, const struct unit *units, uint64_t max, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t value;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	int error = num_parse_u64(slice_cut(s, digits), UINT64_MAX, &value);
	if (error)
		return error;
	struct slice name = slice_skip(s, digits);
	for (const struct unit *u = units; u->name; u++) {
		if (!slice_eq_str(name, u->name))
			continue;
		if (value > max / u->factor)
			return -ERANGE;
		*ret = value * u->factor;
		return 0;
	}
	return -EINVAL;
}

int num_parse_duration(struct slice s, uint64_t max_ms, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{"ms", 1},
		{"s", 1000},
		{"", 1000},
		{"m", 60000},
		{"h", 3600 * 1000},
		{"d", 86400 * 1000},
		{NULL, 0},
	};
	return parse_with_unit(s, units, max_ms, ret_ms);
}

int num_parse_size(struct slice s, uint64_t max, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1},
		{"k", 1 << 10},
		{"K", 1 << 10},
		{"m", 1 << 20},
		{"M", 1 << 20},
		{"g", 1 << 30},
		{"G", 1 << 30},
		{NULL, 0},
	};
	return parse_with_unit(s, units, max, ret);
}

int num_parse_fraction(struct slice s, uint32_t *ret_ppm)
{
	struct slice whole;
	struct slice rest = s;
	uint64_t value;

	if (!slice_next(&rest, '.', &whole) || num_parse_u64(whole, 1, &value))
		return -EINVAL;
	uint64_t ppm = value * 1000000;
	if (rest.p) {
		uint64_t scale = 1000000;
		if (rest.n == 0 || rest.n > 6 || num_parse_u64(rest, 999999, &value))
			return -EINVAL;
		for (size_t i = 0; i < rest.n; i++)
			scale /= 10;
		ppm += value * scale;
	}
	if (ppm > 1000000)
		return -ERANGE;
	*ret_ppm = (uint32_t)ppm;
	return 0;
}

int num_parse_decimal(struct slice s, uint32_t max_whole, uint64_t *ret_micro)
{
	struct slice whole;
	struct slice rest = s;
	uint64_t value;
	uint64_t micro = 0;

	if (!slice_next(&rest, '.', &whole))
		return -EINVAL;
	int error = num_parse_u64(whole, max_whole, &value);
	if (error)
		return error;
	if (rest.p && rest.n == 0)
		return -EINVAL;
	uint64_t scale = 100000;
	for (size_t i = 0; rest.p && i < rest.n; i++) {
		if (rest.p[i] < '0' || rest.p[i] > '9')
			return -EINVAL;
		micro += (uint64_t)(rest.p[i] - '0') * scale;
		scale /= 10;
	}
	*ret_micro = value * 1000000 + micro;
	return 0;
}

const char *num_format_duration(uint64_t ms, char *out)
{
	static const struct unit units[] = {
		{"d", 86400 * 1000},
		{"h", 3600 * 1000},
		{"m", 60000},
		{"s", 1000},
		{"ms", 1},
	};
	if (ms == 0)
		return memcpy(out, "0", 2);
	const struct unit *u = units;
	while (ms % u->factor)
		u++;
	snprintf(out, NUM_DURATION_SIZE, "%" PRIu64 "%s", ms / u->factor, u->name);
	return out;
}
