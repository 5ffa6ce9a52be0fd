#include "admin/upkeep/refresh_body.h"

#include <stdbool.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#define LAYERS_MAX 3
#define PIECE 16384
#define WINDOW_EITHER (15 + 32) /* gzip or zlib, by its header */
#define WINDOW_BARE (-15)	/* deflate without a header */

static bool has_brace(struct slice s)
{
	return memchr(s.p, '{', slice_cut(s, REFRESH_BODY_LEAD).n) != NULL;
}

/* Text, as far as JSON may have it; zero bytes, as UTF-16 and UTF-32 have them. Packed bytes are no text. */
static bool is_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c && c < ' ' && c != '\t' && c != '\n' && c != '\r')
			return false;
	}
	return has_brace(s);
}

/* False: the end of the room. */
static bool append_piece(struct buffer *out, const unsigned char *piece, size_t n)
{
	size_t room = REFRESH_BODY_MAX - out->len;

	buffer_append(out, piece, n < room ? n : room);
	return n < room;
}

/* Takes what there is: a stream that is cut off or damaged gives its start. */
static void inflate_all(struct slice packed, int window, struct buffer *out)
{
	unsigned char piece[PIECE];
	z_stream z = {.next_in = (const Bytef *)packed.p, .avail_in = (uInt)packed.n};
	int code = inflateInit2(&z, window);

	if (code != Z_OK)
		return;
	while (code == Z_OK) {
		z.next_out = piece;
		z.avail_out = sizeof(piece);
		code = inflate(&z, Z_NO_FLUSH);
		if (!append_piece(out, piece, sizeof(piece) - z.avail_out))
			break;
		/* A gzip file may have several members. */
		if (code == Z_STREAM_END && z.avail_in)
			code = inflateReset(&z);
	}
	inflateEnd(&z);
	explicit_bzero(piece, sizeof(piece));
}

static bool has_magic(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	if (s.n < 2)
		return false;
	return (p[0] == 0x1f && p[1] == 0x8b) ||
		((p[0] & 0x0f) == 8 && p[0] >> 4 <= 7 && (p[0] * 256 + p[1]) % 31 == 0);
}

/* Packed bytes may have a brace by chance: what they give must then be beyond doubt. */
static bool is_unpacked(struct slice packed, struct slice out)
{
	return has_brace(packed) ? is_text(out) : has_brace(out) || has_magic(out);
}

/* False: `text` is not packed. */
static bool unpack(struct slice text, struct buffer *out)
{
	if (has_magic(text))
		inflate_all(text, WINDOW_EITHER, out);
	if (!out->len && text.n && text.p[0] != '<' && !is_text(text)) {
		inflate_all(text, WINDOW_BARE, out);
		if (!is_unpacked(text, buffer_slice(out)))
			buffer_clear(out);
	}
	return out->len > 0;
}

/* No JSON text has a zero byte, unless it is UTF-16 or UTF-32: names and tokens are ASCII there. */
static void drop_zeros(struct buffer *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		if (b->data[i])
			b->data[n++] = b->data[i];
	if (b->data)
		explicit_bzero(b->data + n, b->len - n);
	b->len = n;
}

int refresh_body_read(struct slice raw, struct buffer *ret)
{
	buffer_append_slice(ret, slice_cut(raw, REFRESH_BODY_MAX));
	for (int layer = 0; layer < LAYERS_MAX && !buffer_error(ret); layer++) {
		struct buffer next = {0};
		if (!unpack(buffer_slice(ret), &next)) {
			buffer_fini(&next);
			break;
		}
		buffer_fini(ret);
		*ret = next;
	}
	drop_zeros(ret);
	return buffer_error(ret);
}
