#include "common/record.h"

#include "common/num.h"
#include "common/seam.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

#define NO_DIGIT 255

/* Each request has 64 of them to read. NO_DIGIT for any other character. */
static unsigned hex_value(char c)
{
	static const uint8_t values[256] = {['0'] = 16,
		['1'] = 1,
		['2'] = 2,
		['3'] = 3,
		['4'] = 4,
		['5'] = 5,
		['6'] = 6,
		['7'] = 7,
		['8'] = 8,
		['9'] = 9,
		['a'] = 10,
		['b'] = 11,
		['c'] = 12,
		['d'] = 13,
		['e'] = 14,
		['f'] = 15,
		['A'] = 10,
		['B'] = 11,
		['C'] = 12,
		['D'] = 13,
		['E'] = 14,
		['F'] = 15};
	unsigned value = values[(unsigned char)c];

	return value ? value & 15 : NO_DIGIT; /* 16 means the digit 0 */
}

#define PLAIN_LEN 32
#define UUID_LEN (RECORD_ID_TEXT_SIZE - 1)

static bool is_dash_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

/* The digits without the dashes. */
static int strip_dashes(struct slice text, char digits[PLAIN_LEN])
{
	static const struct {
		size_t from, n;
	} groups[] = {{0, 8}, {9, 4}, {14, 4}, {19, 4}, {24, 12}};

	if (text.n != UUID_LEN)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (i && text.p[groups[i].from - 1] != '-')
			return -EINVAL;
		memcpy(digits, text.p + groups[i].from, groups[i].n);
		digits += groups[i].n;
	}
	return 0;
}

int record_parse_id(struct slice text, uint8_t ret_id[16])
{
	char stripped[PLAIN_LEN];
	const char *digits = text.p;
	uint8_t id[16];

	if (text.n != PLAIN_LEN) {
		if (strip_dashes(text, stripped) < 0)
			return -EINVAL;
		digits = stripped;
	}
	for (size_t i = 0; i < sizeof(id); i++) {
		unsigned high = hex_value(digits[2 * i]);
		unsigned low = hex_value(digits[2 * i + 1]);
		if ((high | low) > 15)
			return -EINVAL;
		id[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_id, id, sizeof(id));
	return 0;
}

static bool is_uuid(const uint8_t id[16])
{
	unsigned version = id[RECORD_ID_TIME_DIGITS / 2] >> 4;

	return version >= 1 && version <= 8;
}

const char *record_format_id(const uint8_t id[16], char *out)
{
	static const char hex[] = "0123456789abcdef";
	bool dashes = is_uuid(id);
	size_t n = 0;

	for (size_t i = 0; i < PLAIN_LEN; i++) {
		unsigned value = id[i / 2];
		if (dashes && is_dash_place(n))
			out[n++] = '-';
		out[n++] = hex[i % 2 ? value & 15 : value >> 4];
	}
	out[n] = '\0';
	return out;
}

static char *format_u32(uint32_t n, char *out)
{
	char digits[10];
	size_t len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while (len)
		*out++ = digits[--len];
	return out;
}

const char *record_format_track(uint32_t tenant, uint32_t key, uint32_t account, char *out)
{
	char *p = format_u32(tenant, out);

	*p++ = '|';
	p = format_u32(key, p);
	*p++ = '|';
	p = format_u32(account, p);
	*p = '\0';
	return out;
}

int record_parse_track(
	struct slice text, uint32_t *ret_tenant, uint32_t *ret_key, uint32_t *ret_account)
{
	uint64_t values[3];
	struct slice rest = text;
	struct slice part;

	for (size_t i = 0; i < 3; i++) {
		if (!slice_next(&rest, '|', &part) || num_parse_u64(part, UINT32_MAX, &values[i]))
			return -EINVAL;
	}
	if (rest.p)
		return -EINVAL;
	*ret_tenant = (uint32_t)values[0];
	*ret_key = (uint32_t)values[1];
	*ret_account = (uint32_t)values[2];
	return 0;
}

const char *record_format_mark(const struct record_mark *m, char *out)
{
	char *p = out;

	if (m->is_probe)
		*p++ = 'p';
	else
		p = format_u32(m->attempt, p);
	*p++ = '.';
	p = format_u32(m->account_generation, p);
	*p++ = '.';
	p = format_u32(m->backend_generation, p);
	*p++ = '.';
	p = format_u32(m->credential, p);
	*p = '\0';
	return out;
}

int record_parse_mark(struct slice text, struct record_mark *ret)
{
	uint64_t values[4] = {0};
	struct slice rest = text;
	struct slice part;
	bool is_probe = text.n && text.p[0] == 'p';

	for (size_t i = 0; i < 4; i++) {
		if (!slice_next(&rest, '.', &part))
			return -EINVAL;
		if (i == 0 && is_probe && part.n == 1)
			continue;
		if (num_parse_u64(part, UINT32_MAX, &values[i]))
			return -EINVAL;
	}
	if (rest.p)
		return -EINVAL;
	*ret = (struct record_mark){(uint32_t)values[0], (uint32_t)values[1], (uint32_t)values[2],
		(uint32_t)values[3], is_probe};
	return 0;
}

/* HAProxy writes `-` for an absent value. */
static struct slice present(struct slice field)
{
	return slice_eq_str(field, "-") ? (struct slice){NULL, 0} : field;
}

/* HAProxy writes -1 for a phase that was not reached, and a leading + if it logged early. */
static int parse_time(struct slice s, int32_t *ret)
{
	int64_t value;

	if (s.n && s.p[0] == '+')
		s = slice_skip(s, 1);
	int error = num_parse_i64(s, &value);
	if (error)
		return error;
	if (value < -1 || value > INT32_MAX)
		return -ERANGE;
	*ret = (int32_t)value;
	return 0;
}

static int parse_count(struct slice s, uint64_t max, uint64_t *ret)
{
	if (s.n && s.p[0] == '+')
		s = slice_skip(s, 1);
	return num_parse_u64(s, max, ret);
}

/* The oldest version of records that has the field. */
static int first_version(enum record_field f)
{
	if (f == RECORD_FIELD_PORT || f == RECORD_FIELD_ANSWER)
		return 3;
	return f == RECORD_FIELD_METHOD || f == RECORD_FIELD_PATH ? 2 : 1;
}

/* 0 = not a record. */
static int version_of(struct slice line)
{
	static const char *const magics[] = {RECORD_MAGIC_1, RECORD_MAGIC_2, RECORD_MAGIC};
	struct slice magic;

	if (!slice_next(&line, ' ', &magic))
		return 0;
	for (int i = 0; i < 3; i++) {
		if (slice_eq_str(magic, magics[i]))
			return i + 1;
	}
	return 0;
}

static bool split(struct slice line, struct slice fields[RECORD_FIELD_COUNT])
{
	struct slice rest = line;
	int version = version_of(line);

	if (!version)
		return false;
	for (size_t i = 0; i + 1 < RECORD_FIELD_COUNT; i++) {
		fields[i] = SLICE_LITERAL("-");
		if (version >= first_version((enum record_field)i) &&
			!slice_next(&rest, ' ', &fields[i]))
			return false;
	}
	fields[RECORD_FIELD_COUNT - 1] = rest;
	return rest.p != NULL;
}

static int parse_times(const struct slice *fields, struct record *r)
{
	int32_t queue;
	int32_t connect;
	int32_t response;

	if (parse_time(fields[RECORD_FIELD_T_QUEUE], &queue) ||
		parse_time(fields[RECORD_FIELD_T_CONNECT], &connect) ||
		parse_time(fields[RECORD_FIELD_T_RESPONSE], &response) ||
		parse_time(fields[RECORD_FIELD_T_ACTIVE], &r->duration_ms))
		return -EINVAL;
	r->relay_ms = queue;
	r->ttfb_ms = -1;
	if (response >= 0) {
		int64_t sum =
			(int64_t)(queue > 0 ? queue : 0) + (connect > 0 ? connect : 0) + response;
		r->ttfb_ms = sum > INT32_MAX ? INT32_MAX : (int32_t)sum;
	}
	return 0;
}

static int parse_numbers(const struct slice *fields, struct record *r)
{
	uint64_t retries;
	int64_t status;

	if (num_parse_u64(fields[RECORD_FIELD_GEN], UINT64_MAX, &r->gen) ||
		num_parse_i64(fields[RECORD_FIELD_STATUS], &status) || status < -1 ||
		status > 999 ||
		parse_count(fields[RECORD_FIELD_BYTES_IN], UINT64_MAX, &r->bytes_in) ||
		parse_count(fields[RECORD_FIELD_BYTES_OUT], UINT64_MAX, &r->bytes_out) ||
		parse_count(fields[RECORD_FIELD_RETRIES], 1000, &retries))
		return -EINVAL;
	r->status = status > 0 ? (unsigned)status : 0;
	r->retries = (unsigned)retries;
	int error = parse_times(fields, r);
	/* `shutdown session` in an answer: from 3.0 on HAProxy writes 500 whatever the client got */
	if (r->status == 500 && r->ttfb_ms >= 0 &&
		slice_has_prefix(fields[RECORD_FIELD_TERMINATION], SLICE_LITERAL("KC")))
		r->status = 0;
	return error;
}

/* HAProxy has taken host and query off, and writes <BADREQ> for what is not HTTP. */
static void take_target(const struct slice *fields, struct record *r)
{
	struct slice path = present(fields[RECORD_FIELD_PATH]);
	size_t n = 0;

	if (slice_has_prefix(fields[RECORD_FIELD_METHOD], SLICE_LITERAL("<")))
		return;
	while (n < path.n && path.p[n] != '?')
		n++;
	r->method = present(fields[RECORD_FIELD_METHOD]);
	r->path = slice_cut(path, n);
}

/* One character of `field`, decoded. Returns the length of its text. */
static size_t take_character(struct slice *field, char out[3])
{
	static const char hex[] = "0123456789ABCDEF";
	const char *p = field->p;
	bool may_be_code = field->n > 2 && p[0] == '#';
	unsigned high = may_be_code ? hex_value(p[1]) : NO_DIGIT;
	unsigned low = may_be_code ? hex_value(p[2]) : NO_DIGIT;
	bool is_code = (high | low) <= 15;
	unsigned char c = is_code ? (unsigned char)(high << 4 | low) : (unsigned char)p[0];

	*field = slice_skip(*field, is_code ? 3 : 1);
	if (c > ' ' && c <= '~') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '%';
	out[1] = hex[c >> 4];
	out[2] = hex[c & 15];
	return 3;
}

void record_copy_text(struct slice field, char *out, size_t size)
{
	const size_t mark = sizeof(RECORD_CUT) - 1;
	char one[3];
	size_t n = 0;
	size_t fits = 0; /* with the mark behind it */

	while (field.n) {
		size_t len = take_character(&field, one);
		if (len >= size - n) {
			memcpy(out + fits, RECORD_CUT, mark);
			n = fits + mark;
			break;
		}
		for (size_t i = 0; i < len; i++)
			out[n++] = one[i];
		if (n + mark < size)
			fits = n;
	}
	out[n] = '\0';
}

static int parse_fields(const struct slice *fields, struct record *r)
{
	struct slice track = present(fields[RECORD_FIELD_TRACK]);
	struct slice mark = present(fields[RECORD_FIELD_MARK]);
	struct slice ends = fields[RECORD_FIELD_TERMINATION];
	struct slice port = present(fields[RECORD_FIELD_PORT]);
	uint64_t number = 0;

	if (record_parse_id(fields[RECORD_FIELD_ID], r->id) || ends.n != 2)
		return -EINVAL;
	if (track.n && record_parse_track(track, &r->tenant, &r->key, &r->account))
		return -EINVAL;
	if (mark.n && record_parse_mark(mark, &r->mark))
		return -EINVAL;
	if (port.n && num_parse_u64(port, UINT16_MAX, &number))
		return -EINVAL;
	r->port = (uint16_t)number;
	memcpy(r->termination, ends.p, 2);
	r->frontend = fields[RECORD_FIELD_FRONTEND];
	r->backend = present(fields[RECORD_FIELD_BACKEND]);
	r->server = present(fields[RECORD_FIELD_SERVER]);
	if (slice_has_prefix(r->server, SLICE_LITERAL("<")))
		r->server = (struct slice){NULL, 0}; /* <NOSRV>, <STATS>, <PROMEX> */
	r->code = present(fields[RECORD_FIELD_CODE]);
	r->is_own = slice_has_prefix(r->code, SLICE_LITERAL(RECORD_OWN));
	if (r->is_own)
		r->code = slice_skip(r->code, sizeof(RECORD_OWN) - 1);
	r->label = present(fields[RECORD_FIELD_LABEL]);
	take_target(fields, r);
	r->answer = present(fields[RECORD_FIELD_ANSWER]);
	r->limits = present(fields[RECORD_FIELD_LIMITS]);
	return parse_numbers(fields, r);
}

/* The head was malformed or too slow. A client that left got no answer. */
static enum record_result parse_early(const struct slice *fields, struct record *ret)
{
	struct record r = {.frontend = fields[RECORD_FIELD_FRONTEND]};

	if (slice_has_prefix(fields[RECORD_FIELD_TERMINATION], SLICE_LITERAL("C")) ||
		parse_numbers(fields, &r) || r.status < 400)
		return RECORD_OTHER;
	*ret = r;
	return RECORD_EARLY;
}

int record_secret(struct slice stored, uint64_t gen, char out[RECORD_SECRET_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char label[32];
	int n = snprintf(label, sizeof(label), "record %" PRIu64, gen);

	if (!HMAC(EVP_sha256(), stored.p, (int)stored.n, (const unsigned char *)label, (size_t)n,
		    digest, NULL))
		return -ENOMEM;
	for (size_t i = 0; i < RECORD_SECRET_SIZE - 1; i++)
		out[i] = hex[i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4];
	out[RECORD_SECRET_SIZE - 1] = '\0';
	explicit_bzero(digest, sizeof(digest));
	return 0;
}

int record_claimed_gen(struct slice datagram, uint64_t *ret)
{
	struct slice rest = datagram;
	struct slice field;

	for (size_t i = 0; i <= RECORD_FIELD_GEN; i++) {
		if (!slice_next(&rest, ' ', &field))
			return -EINVAL;
	}
	return num_parse_u64(field, UINT64_MAX, ret) ? -EINVAL : 0;
}

enum record_result record_parse(struct slice datagram, struct slice secret, struct record *ret)
{
	struct slice fields[RECORD_FIELD_COUNT];
	struct record r = {0};

	while (datagram.n &&
		(datagram.p[datagram.n - 1] == '\n' || datagram.p[datagram.n - 1] == '\0'))
		datagram.n--;
	if (slice_has_prefix(datagram, SLICE_LITERAL("Proxy ")))
		return RECORD_OTHER;
	if (!split(datagram, fields))
		return RECORD_BAD;
	if (secret.n && !slice_eq_secret(fields[RECORD_FIELD_SECRET], secret))
		return RECORD_FORGED;
	if (present(fields[RECORD_FIELD_ID]).n == 0)
		return parse_early(fields, ret);
	if (parse_fields(fields, &r))
		return RECORD_BAD;
	*ret = r;
	return RECORD_OK;
}

uint32_t record_backend_id(const struct record *r)
{
	struct slice name = r->backend;
	struct slice number;
	uint64_t id = 0;

	if (name.n < 2 || name.p[0] != 'b')
		return 0;
	name = slice_skip(name, 1);
	if (!slice_next(&name, '-', &number) || num_parse_u64(number, UINT32_MAX, &id))
		return 0;
	return (uint32_t)id;
}

bool record_is_once(const struct record *r)
{
	const struct slice suffix = SLICE_LITERAL(SEAM_BACKEND_ONCE);

	return r->backend.n > suffix.n &&
		slice_eq(slice_skip(r->backend, r->backend.n - suffix.n), suffix);
}

int record_log_format(uint64_t gen, bool with_secret, char *out, size_t size)
{
	static const char *const expressions[] = {
#define X(id, expression) expression,
		RECORD_FIELDS(X)
#undef X
	};
	size_t n = 0;

	for (size_t i = 0; i < RECORD_FIELD_COUNT; i++) {
		char text[64];
		const char *expression = expressions[i];
		if (i == RECORD_FIELD_SECRET) {
			expression = with_secret ? "%[env(" SEAM_SECRET_ENV ")]" : "-";
		} else if (i == RECORD_FIELD_GEN) {
			snprintf(text, sizeof(text), "%" PRIu64, gen);
			expression = text;
		}
		int written = snprintf(out + n, size - n, "%s%s", i ? " " : "", expression);
		if (written < 0 || (size_t)written >= size - n)
			return -ENOSPC;
		n += (size_t)written;
	}
	return 0;
}
