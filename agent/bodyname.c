/* OpenSSL 3 deprecates the SHA256_CTX functions; they are the only ones without an allocation. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "agent/bodyname.h"

#include "common/jsonwalk.h"

#include <openssl/sha.h>
#include <stdint.h>

#define DIGEST_BYTES ((BODYNAME_LEN - 1) / 2)
#define PART_END '\0' /* between the texts of one message */

enum kind {
	KIND_CACHE_KEY = 'k',
	KIND_USER = 'u',
	KIND_MESSAGE = 'm',
};

/* --- digest --- */

struct digest {
	SHA256_CTX hash;
	size_t left; /* bytes that still count */
	size_t parts;
};

static void digest_begin(struct digest *d, enum kind kind, size_t max)
{
	const char letter = (char)kind;

	SHA256_Init(&d->hash);
	SHA256_Update(&d->hash, &letter, 1);
	d->left = max;
	d->parts = 0;
}

static void digest_add(struct digest *d, struct slice text)
{
	text = slice_cut(text, d->left);
	SHA256_Update(&d->hash, text.p, text.n);
	d->left -= text.n;
}

static void digest_add_string(struct digest *d, struct slice raw)
{
	static const char part_end[1] = {PART_END};
	char scratch[JSONWALK_PIECE_SIZE];
	struct slice piece;

	if (d->parts++)
		digest_add(d, (struct slice){part_end, 1});
	while (d->left && jsonwalk_piece(&raw, scratch, &piece))
		digest_add(d, piece);
}

static void digest_end(struct digest *d, enum kind kind, char ret[BODYNAME_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[SHA256_DIGEST_LENGTH];

	SHA256_Final(bytes, &d->hash);
	*ret++ = (char)kind;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		*ret++ = digits[bytes[i] >> 4];
		*ret++ = digits[bytes[i] & 0xf];
	}
	*ret = '\0';
}

/* --- names; all functions take the value off `*rest` --- */

/* A string names something if it is not empty; of a message its start suffices. */
static void take_name(struct slice *rest, enum kind kind, char ret[BODYNAME_SIZE])
{
	bool may_be_cut = kind == KIND_MESSAGE;
	struct digest d;
	struct slice raw;
	bool whole;

	if (!jsonwalk_string(rest, &raw, &whole)) {
		jsonwalk_skip(rest);
		return;
	}
	if (raw.n == 0 || !(whole || may_be_cut))
		return;
	digest_begin(&d, kind, may_be_cut ? BODYNAME_TEXT_MAX : SIZE_MAX);
	digest_add_string(&d, raw);
	digest_end(&d, kind, ret);
}

static void take_metadata(struct slice *rest, char ret[BODYNAME_SIZE])
{
	struct slice name;

	if (!jsonwalk_enter_object(rest)) {
		jsonwalk_skip(rest);
		return;
	}
	while (jsonwalk_next_member(rest, &name)) {
		if (!ret[0] && jsonwalk_says(name, "user_id"))
			take_name(rest, KIND_USER, ret);
		else
			jsonwalk_skip(rest);
	}
}

/* --- the first message of the user --- */

/* False: the value is no string, and stays. */
static bool take_text(struct slice *rest, struct digest *d)
{
	struct slice raw;
	bool whole;

	if (!jsonwalk_string(rest, &raw, &whole))
		return false;
	if (raw.n)
		digest_add_string(d, raw);
	return true;
}

static void take_part(struct slice *rest, struct digest *d)
{
	struct slice name;

	if (!jsonwalk_enter_object(rest)) {
		jsonwalk_skip(rest);
		return;
	}
	while (jsonwalk_next_member(rest, &name)) {
		if (!jsonwalk_says(name, "text") || !take_text(rest, d))
			jsonwalk_skip(rest);
	}
}

/* A string, or parts with text. A message without text counts as it is written. */
static void take_content(struct slice *rest, char ret[BODYNAME_SIZE])
{
	struct slice content = *rest;
	struct digest d;

	digest_begin(&d, KIND_MESSAGE, BODYNAME_TEXT_MAX);
	if (jsonwalk_enter_array(rest)) {
		while (jsonwalk_next_item(rest))
			take_part(rest, &d);
	} else if (!take_text(rest, &d))
		jsonwalk_skip(rest);
	content.n -= rest->n;
	if (d.parts == 0)
		digest_add(&d, content);
	digest_end(&d, KIND_MESSAGE, ret);
}

static bool take_role(struct slice *rest)
{
	struct slice raw;
	bool whole;

	if (jsonwalk_string(rest, &raw, &whole))
		return whole && jsonwalk_says(raw, "user");
	jsonwalk_skip(rest);
	return false;
}

/* `is_user`: without a role the message is the user's. */
static void take_message(struct slice *rest, bool is_user, char ret[BODYNAME_SIZE])
{
	char content[BODYNAME_SIZE] = "";
	struct slice name;

	if (!jsonwalk_enter_object(rest)) {
		jsonwalk_skip(rest);
		return;
	}
	while (jsonwalk_next_member(rest, &name)) {
		if (jsonwalk_says(name, "role"))
			is_user = take_role(rest);
		else if (jsonwalk_says(name, "content") || jsonwalk_says(name, "parts"))
			take_content(rest, content);
		else
			jsonwalk_skip(rest);
	}
	if (is_user)
		memcpy(ret, content, sizeof(content));
}

/* Of a list of messages, or of a text alone. */
static void take_messages(struct slice *rest, bool is_user, char ret[BODYNAME_SIZE])
{
	if (!jsonwalk_enter_array(rest)) {
		take_name(rest, KIND_MESSAGE, ret);
		return;
	}
	while (jsonwalk_next_item(rest)) {
		take_message(rest, is_user, ret);
		if (ret[0]) {
			jsonwalk_leave(rest);
			return;
		}
	}
}

/* --- the body --- */

struct found {
	char key[BODYNAME_SIZE];
	char user[BODYNAME_SIZE];
	char message[BODYNAME_SIZE];
};

static void take_member(struct slice *rest, struct slice name, struct found *f)
{
	if (!f->key[0] && jsonwalk_says(name, "prompt_cache_key"))
		take_name(rest, KIND_CACHE_KEY, f->key);
	else if (!f->user[0] && jsonwalk_says(name, "metadata"))
		take_metadata(rest, f->user);
	else if (!f->message[0] &&
		(jsonwalk_says(name, "messages") || jsonwalk_says(name, "input")))
		take_messages(rest, false, f->message);
	else if (!f->message[0] && jsonwalk_says(name, "contents"))
		take_messages(rest, true, f->message);
	else
		jsonwalk_skip(rest);
}

void bodyname_find(struct slice body, struct bodyname *ret)
{
	struct found f = {.key = "", .user = "", .message = ""};
	struct slice name;

	*ret = (struct bodyname){.name = "", .message = ""};
	if (!jsonwalk_enter_object(&body))
		return;
	while (!(f.key[0] && f.message[0]) && jsonwalk_next_member(&body, &name))
		take_member(&body, name, &f);
	const char *best = f.key[0] ? f.key : f.user[0] ? f.user : f.message;
	memcpy(ret->name, best, sizeof(ret->name));
	if (best != f.message)
		memcpy(ret->message, f.message, sizeof(ret->message));
}
