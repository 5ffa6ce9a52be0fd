/* The parts that all frontends share: end record, question to the agent, gauge. */
#include "common/record.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <errno.h>

void render_log(const struct render_model *m, struct buffer *b)
{
	char format[RECORD_MAX];

	if (record_log_format(m->gen, m->records_have_secret, format, sizeof(format))) {
		b->error = -EFBIG;
		return;
	}
	buffer_append_str(b,
		"\n\t# End record: one datagram per request, sent at its end. Datagrams, unlike a `ring`,\n"
		"\t# survive a reload.\n"
		"\tlog ");
	render_target(m, &m->records, b);
	buffer_printf(b, " len %d format raw local0\n\tlog-format ", RECORD_MAX);
	render_word(b, format);
	buffer_append_str(b, "\n");
}

/*
 * Below 3.4 `uuid()` tells the next ones to whoever saw two, so an id holds only a hash of it and of a key.
 * As many digits of the key as fit beside the UUID into one block of SHA-256: a second one costs as much as
 * the first, and `hmac` four times as much. `-m len`: a regular expression of PCRE lets a line break pass
 * before its end, one of POSIX ends at a NUL.
 */
#define ID_KEY_DIGITS 19
#define ID_IS(len, pattern)                                                                        \
	"{ fc_pp_unique_id -m len " len " } { fc_pp_unique_id -m reg '" pattern "' }"

void render_new_id(const struct render_model *m, struct buffer *b)
{
	buffer_printf(b,
		"\n\t# Ids begin with the time in ms; the rest cannot be guessed without the key.\n"
		".if version_atleast(3.4)\n"
		"\tunique-id-format %%[uuid(7)]\n"
		".else\n"
		"\tunique-id-format %%[date(0,ms),hex,bytes(%d,%d),lower]" RECORD_ID_PLAIN
		"%%[uuid(),concat(%.*s),sha2(256),hex,bytes(0,%d),lower]\n"
		".endif\n",
		16 - RECORD_ID_TIME_DIGITS, RECORD_ID_TIME_DIGITS, ID_KEY_DIGITS, m->id_key,
		31 - RECORD_ID_TIME_DIGITS);
}

void render_same_id(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# The id comes from the peer: nothing is read or logged unless it is one.\n"
		"\ttcp-request session silent-drop unless " ID_IS(
			"32", "^[0-9a-f]{32}$") " || " ID_IS("36",
			"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$") "\n"
								       "\tunique-id-format %[fc_pp_unique_id]\n");
}

void render_engine(const struct render_model *m, const char *engine, struct buffer *b)
{
	struct buffer path = {0};

	buffer_printf(b, "\tfilter spoe engine %s config ", engine);
	buffer_printf(&path, "%s/" RENDER_SPOE_NAME, m->output_dir);
	render_word(b, buffer_str(&path));
	buffer_fini(&path);
	buffer_append_str(b, "\n");
}

static void append_ask(struct buffer *b, const char *message, const char *condition)
{
	buffer_printf(b, "\thttp-request send-spoe-group " SEAM_ENGINE " %s%s%s\n", message,
		condition[0] ? " if " : "", condition);
}

void render_ask(const char *message, const char *condition, struct buffer *b)
{
	buffer_append_str(b, "\n\t# Send the question to the agent.\n");
	append_ask(b, message, condition);
}

/*
 * A dead agent leaves several broken connections. HAProxy 2.6 notices each only when it loses a question
 * on it, which fails at once with error 255 or 257 (SPOE.txt 2.5). After a timeout there is no third
 * question.
 */
void render_ask_again(const char *message, const char *condition, struct buffer *b)
{
	struct buffer unanswered = {0};
	struct buffer broken = {0};

	buffer_printf(&unanswered, "%s%s!{ " RENDER_ACTION " -m found } !" RENDER_INTERRUPTED,
		condition, condition[0] ? " " : "");
	buffer_printf(&broken,
		"%s%s!{ " RENDER_ACTION " -m found } { " RENDER_ERROR " -m int 255 257 }",
		condition, condition[0] ? " " : "");
	buffer_append_str(b,
		"\t# Repeat it if no answer came, then once for each broken connection (SPOE errors 255\n"
		"\t# and 257, which HAProxy reports at once).\n");
	append_ask(b, message, buffer_str(&unanswered));
	for (int i = 0; i < RENDER_BROKEN_CONNECTIONS; i++)
		append_ask(b, message, buffer_str(&broken));
	buffer_fini(&unanswered);
	buffer_fini(&broken);
}

void render_tracking(struct buffer *b)
{
	buffer_append_str(b,
		"\t# Count the requests in progress: the count falls however a request ends. Without the\n"
		"\t# variable nothing is counted.\n"
		"\thttp-request track-sc0 " RENDER_TRACK_KEY " table " RENDER_TRACK "\n");
}

void render_own_connection(struct buffer *b, const char *condition)
{
	buffer_printf(b,
		"\thttp-request set-bc-tos 0 %s\n"
		"\thttp-request set-var(txn.rly.own) bool(true) %s\n",
		condition, condition);
}

void render_close_own_connection(struct buffer *b)
{
	buffer_append_str(b,
		".if version_atleast(3.0)\n"
		"\thttp-request set-header Connection close if { var(txn.rly.own) -m bool }\n"
		".endif\n");
}

void render_allowed(struct buffer *b)
{
	buffer_append_str(
		b, "\n\tacl relay_allowed " RENDER_ACTION " -m str " SEAM_ACTION_ALLOW "\n");
}

void render_routes(struct buffer *b, bool once)
{
	buffer_append_str(b, "\n");
	if (once)
		buffer_append_str(b,
			"\tuse_backend %[" RENDER_BACKEND_NAME "]" SEAM_BACKEND_ONCE
			" if " RENDER_HAS_BACKEND " !{ " RENDER_ALT " -m bool }\n");
	buffer_append_str(b,
		"\tuse_backend %[" RENDER_BACKEND_NAME "] if " RENDER_HAS_BACKEND "\n"
		"\tdefault_backend " RENDER_BLACK_HOLE "\n");
}
