#include "common/timetext.h"

#include "common/num.h"

#include <errno.h>

#define DAY_MS 86400000

struct parts {
	int year, month, day; /* month 1..12 */
	int hour, minute, second;
};

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly `n` digits off the front. */
static bool take_digits(struct slice *s, size_t n, int *ret)
{
	uint64_t value;

	if (s->n < n || num_parse_u64(slice_cut(*s, n), 9999, &value))
		return false;
	*s = slice_skip(*s, n);
	*ret = (int)value;
	return true;
}

static bool take_month(struct slice *s, int *ret)
{
	for (int m = 0; m < 12; m++) {
		if (!slice_has_prefix(*s, (struct slice){months + m * 3, 3}))
			continue;
		*s = slice_skip(*s, 3);
		*ret = m + 1;
		return true;
	}
	return false;
}

/* asctime() writes the first nine days with a blank. */
static bool take_padded_day(struct slice *s, int *ret)
{
	if (s->n == 0 || s->p[0] != ' ')
		return take_digits(s, 2, ret);
	*s = slice_skip(*s, 1);
	return take_digits(s, 1, ret);
}

static bool take_weekday(struct slice *s, bool is_long)
{
	static const char *const names[] = {
		"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct slice name = slice_from_str(names[i]);
		if (!is_long)
			name = slice_cut(name, 3);
		if (!slice_has_prefix(*s, name))
			continue;
		*s = slice_skip(*s, name.n);
		return true;
	}
	return false;
}

/* RFC 850's years have two digits; upstreams name no time before 1970. */
static bool take_short_year(struct slice *s, int *ret)
{
	int year;

	if (!take_digits(s, 2, &year))
		return false;
	*ret = year < 70 ? 2000 + year : 1900 + year;
	return true;
}

/* The letters are those of strptime(), `e` being the day as asctime() pads it. */
static bool take_part(struct slice *s, char letter, struct parts *p)
{
	switch (letter) {
	case 'Y':
		return take_digits(s, 4, &p->year);
	case 'y':
		return take_short_year(s, &p->year);
	case 'm':
		return take_digits(s, 2, &p->month);
	case 'b':
		return take_month(s, &p->month);
	case 'd':
		return take_digits(s, 2, &p->day);
	case 'e':
		return take_padded_day(s, &p->day);
	case 'H':
		return take_digits(s, 2, &p->hour);
	case 'M':
		return take_digits(s, 2, &p->minute);
	case 'S':
		return take_digits(s, 2, &p->second);
	default:
		return take_weekday(s, letter == 'A');
	}
}

/* Takes the text that `pattern` describes off the front. */
static bool take_pattern(struct slice *s, const char *pattern, struct parts *p)
{
	for (const char *c = pattern; *c; c++) {
		if (*c == '%') {
			if (!take_part(s, *++c, p))
				return false;
			continue;
		}
		if (!slice_eq_nocase(slice_cut(*s, 1), (struct slice){c, 1}))
			return false;
		*s = slice_skip(*s, 1);
	}
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static int64_t days_since_1970(const struct parts *p)
{
	int64_t before = p->year - 1;
	int64_t days = (before - 1969) * 365 + before / 4 - 1969 / 4 - before / 100 + 1969 / 100 +
		before / 400 - 1969 / 400;

	for (int m = 1; m < p->month; m++)
		days += days_in_month(p->year, m);
	return days + p->day - 1;
}

/* The sixtieth second of a leap second is the next minute's first. */
static int make_time(const struct parts *p, int64_t *ret_wall_ms)
{
	if (p->year < 1970 || p->month < 1 || p->month > 12)
		return -ERANGE;
	if (p->day < 1 || p->day > days_in_month(p->year, p->month))
		return -ERANGE;
	if (p->hour > 23 || p->minute > 59 || p->second > 60)
		return -ERANGE;
	*ret_wall_ms = days_since_1970(p) * DAY_MS +
		((int64_t)p->hour * 3600 + p->minute * 60 + p->second) * 1000;
	return 0;
}

static bool take_fraction(struct slice *s, int *ret_ms)
{
	int ms = 0;
	int scale = 100;

	if (s->n == 0 || s->p[0] != '.')
		return true;
	*s = slice_skip(*s, 1);
	if (s->n == 0 || !is_digit(s->p[0]))
		return false;
	for (; s->n && is_digit(s->p[0]); *s = slice_skip(*s, 1), scale /= 10)
		ms += (s->p[0] - '0') * scale;
	*ret_ms = ms;
	return true;
}

/* "Z", or the offset from UTC. */
static int parse_offset(struct slice s, int64_t *ret_ms)
{
	struct parts p = {0};

	if (slice_eq_nocase(s, SLICE_LITERAL("Z"))) {
		*ret_ms = 0;
		return 0;
	}
	bool west = s.n && s.p[0] == '-';
	if (s.n == 0 || (!west && s.p[0] != '+'))
		return -EINVAL;
	s = slice_skip(s, 1);
	if (!take_pattern(&s, "%H:%M", &p) || s.n)
		return -EINVAL;
	if (p.hour > 23 || p.minute > 59)
		return -ERANGE;
	int64_t ms = ((int64_t)p.hour * 60 + p.minute) * 60000;
	*ret_ms = west ? -ms : ms;
	return 0;
}

int timetext_parse_rfc3339(struct slice s, int64_t *ret_wall_ms)
{
	struct parts p = {0};
	int fraction_ms = 0;
	int64_t wall_ms;
	int64_t offset_ms;

	if (!take_pattern(&s, "%Y-%m-%dT%H:%M:%S", &p) || !take_fraction(&s, &fraction_ms))
		return -EINVAL;
	int error = parse_offset(s, &offset_ms);
	if (!error)
		error = make_time(&p, &wall_ms);
	if (error)
		return error;
	*ret_wall_ms = wall_ms + fraction_ms - offset_ms;
	return 0;
}

int timetext_parse_http_date(struct slice s, int64_t *ret_wall_ms)
{
	static const char *const patterns[] = {
		"%a, %d %b %Y %H:%M:%S GMT",
		"%A, %d-%b-%y %H:%M:%S GMT",
		"%a %b %e %H:%M:%S %Y",
	};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct parts p = {0};
		struct slice rest = s;
		if (take_pattern(&rest, patterns[i], &p) && rest.n == 0)
			return make_time(&p, ret_wall_ms);
	}
	return -EINVAL;
}

/* Milliseconds of a unit; 0 for smaller units, -1 for an unknown unit. */
static int64_t unit_ms(struct slice name)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{"h", 3600000},
		{"m", 60000},
		{"s", 1000},
		{"ms", 1},
		{"us", 0},
		{"\xc2\xb5s", 0},
		{"\xce\xbcs", 0},
		{"ns", 0},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (slice_eq_str(name, units[i].name))
			return units[i].ms;
	}
	return -1;
}

/* One "12.5s" off the front. */
static int take_span(struct slice *s, int64_t *ret_ms)
{
	size_t number = 0;
	uint64_t micro;

	while (number < s->n && (is_digit(s->p[number]) || s->p[number] == '.'))
		number++;
	size_t end = number;
	while (end < s->n && !is_digit(s->p[end]))
		end++;
	int error = num_parse_decimal(slice_cut(*s, number), UINT32_MAX, &micro);
	int64_t unit = unit_ms(slice_skip(slice_cut(*s, end), number));
	if (error || unit < 0)
		return error ? error : -EINVAL;
	*s = slice_skip(*s, end);
	*ret_ms = (int64_t)(micro / 1000000) * unit + (int64_t)(micro % 1000000) * unit / 1000000;
	return 0;
}

int timetext_parse_span(struct slice s, int64_t max_ms, int64_t *ret_ms)
{
	int64_t sum = 0;

	if (s.n == 0)
		return -EINVAL;
	while (s.n) {
		int64_t ms;
		int error = take_span(&s, &ms);
		if (error)
			return error;
		if (ms > max_ms - sum)
			return -ERANGE;
		sum += ms;
	}
	*ret_ms = sum;
	return 0;
}
