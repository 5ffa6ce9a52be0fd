/* The parts that all frontends share: end record, question to the agent, gauge. */
#include "common/record.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <errno.h>

#define BROKEN_CONNECTIONS 8 /* more questions, for the connections of a dead agent */

void render_log(const struct render_model *m, const char *unique_id, struct buffer *b)
{
	char format[RECORD_MAX];
	char address[ADDRESS_HAPROXY_SIZE];

	if (record_log_format(m->gen, m->records_have_secret, format, sizeof(format))) {
		b->error = -EFBIG;
		return;
	}
	address_format_haproxy(&m->records, address);
	buffer_append_str(b,
		"\n\t# End record: one datagram per request, sent at its end. Datagrams, unlike a `ring`,\n"
		"\t# survive a reload.\n"
		"\tlog ");
	render_word(b, address);
	buffer_printf(b, " len %d format raw local0\n\tlog-format ", RECORD_MAX);
	render_word(b, format);
	buffer_printf(b, "\n\tunique-id-format %s\n", unique_id);
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

/*
 * A dead agent leaves several broken connections. HAProxy 2.6 notices each only when it loses a question
 * on it, which fails at once with error 255 or 257 (SPOE.txt 2.5). After a timeout there is no third
 * question.
 */
void render_question(
	const char *message, const char *repeat, const char *condition, struct buffer *b)
{
	struct buffer unanswered = {0};
	struct buffer broken = {0};

	buffer_printf(&unanswered, "%s%s!{ " RENDER_ACTION " -m found }", condition,
		condition[0] ? " " : "");
	buffer_printf(&broken, "%s { " RENDER_ERROR " -m int 255 257 }", buffer_str(&unanswered));
	buffer_append_str(b,
		"\n\t# Send the question to the agent. Repeat it if no answer came, then once for each\n"
		"\t# broken connection (SPOE errors 255 and 257, which HAProxy reports at once).\n");
	append_ask(b, message, condition);
	append_ask(b, repeat, buffer_str(&unanswered));
	for (int i = 0; i < BROKEN_CONNECTIONS; i++)
		append_ask(b, repeat, buffer_str(&broken));
	buffer_fini(&unanswered);
	buffer_fini(&broken);
}

void render_tracking(struct buffer *b)
{
	buffer_append_str(b,
		"\t# Count the requests in progress: the count falls however a request ends.\n"
		"\thttp-request track-sc0 " RENDER_TRACK_KEY " table " RENDER_TRACK
		" if { " RENDER_TRACK_KEY " -m found }\n");
}

void render_own_connection(struct buffer *b, const char *condition)
{
	buffer_printf(b,
		"\thttp-request set-bc-tos 0 %s\n"
		"\thttp-request set-header Connection close %s\n",
		condition, condition);
}
