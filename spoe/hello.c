#include "spoe/hello.h"

#include "spoe/reader.h"
#include "spoe/value.h"

/* One known K/V item: the function that takes its value, and the status if it is missing. */
struct item {
	const char *key;
	enum spoe_status (*take)(const struct spoe_value *value, struct spoe_hello *hello);
	enum spoe_status missing; /* NORMAL: optional */
};

/* "2.MINOR": in SPOE.txt 3.2.4 a version includes all earlier minor ones, so also 2.0. */
static bool is_version_two(struct slice version)
{
	if (!slice_has_prefix(version, SLICE_LITERAL("2.")) || version.n == 2)
		return false;
	for (size_t i = 2; i < version.n; i++)
		if (version.p[i] < '0' || version.p[i] > '9')
			return false;
	return true;
}

static enum spoe_status take_versions(const struct spoe_value *value, struct spoe_hello *hello)
{
	struct slice list;
	struct slice version;

	(void)hello;
	if (value->type != SPOE_TYPE_STRING)
		return SPOE_STATUS_INVALID;
	list = value->bytes;
	while (slice_next(&list, ',', &version))
		if (is_version_two(slice_trim(version)))
			return SPOE_STATUS_NORMAL;
	return SPOE_STATUS_BAD_VERSION;
}

static enum spoe_status take_frame_max(const struct spoe_value *value, struct spoe_hello *hello)
{
	int64_t n;

	if (value->type == SPOE_TYPE_UINT64 && value->uint > UINT32_MAX)
		return SPOE_STATUS_BAD_FRAME_SIZE;
	if (spoe_value_get_int(value, &n) < 0)
		return SPOE_STATUS_INVALID;
	if (n < SPOE_FRAME_MIN || n > UINT32_MAX)
		return SPOE_STATUS_BAD_FRAME_SIZE;
	hello->frame_max = (uint32_t)n;
	return SPOE_STATUS_NORMAL;
}

static unsigned capability_from_name(struct slice name)
{
	static const struct {
		const char *name;
		unsigned bit;
	} rows[] = {
		{"pipelining", SPOE_CAP_PIPELINING},
		{"async", SPOE_CAP_ASYNC},
		{"fragmentation", SPOE_CAP_FRAGMENTATION},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (slice_eq_str(name, rows[i].name))
			return rows[i].bit;
	return 0;
}

static enum spoe_status take_capabilities(const struct spoe_value *value, struct spoe_hello *hello)
{
	struct slice list;
	struct slice name;

	if (value->type != SPOE_TYPE_STRING)
		return SPOE_STATUS_INVALID;
	list = value->bytes;
	while (slice_next(&list, ',', &name))
		hello->capabilities |= capability_from_name(slice_trim(name));
	return SPOE_STATUS_NORMAL;
}

static enum spoe_status take_healthcheck(const struct spoe_value *value, struct spoe_hello *hello)
{
	if (value->type != SPOE_TYPE_BOOL)
		return SPOE_STATUS_INVALID;
	hello->healthcheck = value->flag;
	return SPOE_STATUS_NORMAL;
}

static enum spoe_status take_engine_id(const struct spoe_value *value, struct spoe_hello *hello)
{
	if (value->type != SPOE_TYPE_STRING || value->bytes.n > SPOE_ENGINE_ID_MAX)
		return SPOE_STATUS_INVALID;
	hello->engine_id = value->bytes;
	return SPOE_STATUS_NORMAL;
}

static const struct item items[] = {
	{"supported-versions", take_versions, SPOE_STATUS_NO_VERSION},
	{"max-frame-size", take_frame_max, SPOE_STATUS_NO_FRAME_SIZE},
	{"capabilities", take_capabilities, SPOE_STATUS_NO_CAPABILITIES},
	{"healthcheck", take_healthcheck, SPOE_STATUS_NORMAL},
	{"engine-id", take_engine_id, SPOE_STATUS_NORMAL},
};

enum {
	N_ITEMS = sizeof(items) / sizeof(items[0]),
};

static size_t item_find(struct slice key)
{
	size_t i = 0;

	while (i < N_ITEMS && !slice_eq_str(key, items[i].key))
		i++;
	return i;
}

/* Reads one K/V item; `*seen` has a bit per row of the table. */
static enum spoe_status item_decode(
	struct spoe_reader *reader, struct spoe_hello *hello, unsigned *seen)
{
	struct spoe_value value;
	struct slice key;
	size_t i;

	if (spoe_value_decode_named(reader, &key, &value) < 0 || key.n == 0)
		return SPOE_STATUS_INVALID;
	i = item_find(key);
	if (i == N_ITEMS)
		return SPOE_STATUS_NORMAL;
	if (*seen & 1u << i)
		return SPOE_STATUS_INVALID;
	*seen |= 1u << i;
	return items[i].take(&value, hello);
}

static enum spoe_status items_missing(unsigned seen)
{
	for (size_t i = 0; i < N_ITEMS; i++)
		if (!(seen & 1u << i) && items[i].missing != SPOE_STATUS_NORMAL)
			return items[i].missing;
	return SPOE_STATUS_NORMAL;
}

enum spoe_status spoe_hello_decode(struct slice payload, struct spoe_hello *ret_hello)
{
	enum spoe_status status = SPOE_STATUS_NORMAL;
	struct spoe_hello hello = {0};
	struct spoe_reader reader;
	unsigned seen = 0;

	spoe_reader_init(&reader, payload);
	while (status == SPOE_STATUS_NORMAL && spoe_reader_left(&reader) > 0)
		status = item_decode(&reader, &hello, &seen);
	if (status == SPOE_STATUS_NORMAL)
		status = items_missing(seen);
	if (status == SPOE_STATUS_NORMAL)
		*ret_hello = hello;
	return status;
}

uint32_t spoe_hello_frame_max(const struct spoe_hello *hello)
{
	return hello->frame_max < SPOE_FRAME_MAX ? hello->frame_max : SPOE_FRAME_MAX;
}

bool spoe_hello_pipelining(const struct spoe_hello *hello, size_t ack_max)
{
	if (!(hello->capabilities & SPOE_CAP_PIPELINING))
		return false;
	if (hello->capabilities & SPOE_CAP_ASYNC)
		return true;
	return ack_max <= hello->frame_max / SPOE_STREAMS_MAX;
}

static void string_item_encode(struct spoe_writer *writer, const char *key, const char *text)
{
	struct spoe_value value = {.type = SPOE_TYPE_STRING, .bytes = slice_from_str(text)};

	spoe_value_encode_named(writer, slice_from_str(key), &value);
}

int spoe_hello_encode(struct spoe_writer *writer, const struct spoe_hello *hello, size_t ack_max)
{
	uint32_t frame_max = spoe_hello_frame_max(hello);
	struct spoe_value size = {.type = SPOE_TYPE_UINT32, .uint = frame_max};
	size_t mark = spoe_frame_begin(writer, SPOE_FRAME_AGENT_HELLO, 0, 0);

	string_item_encode(writer, "version", SPOE_VERSION);
	spoe_value_encode_named(writer, SLICE_LITERAL("max-frame-size"), &size);
	string_item_encode(
		writer, "capabilities", spoe_hello_pipelining(hello, ack_max) ? "pipelining" : "");
	return spoe_frame_end(writer, mark, frame_max);
}
