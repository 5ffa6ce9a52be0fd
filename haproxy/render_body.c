/* The question with the body, for requests whose headers do not tell the agent enough. */
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#define IF_ASKED " if { " RENDER_ACTION " -m str " SEAM_ACTION_BODY " }"

static void append_ask(struct buffer *b, const char *condition)
{
	buffer_printf(b,
		"\thttp-request send-spoe-group " SEAM_ENGINE " " SEAM_MSG_BODIED IF_ASKED "%s\n",
		condition);
}

/*
 * Nothing was counted yet. A body that does not come is a 408; without an answer the action stays, and
 * with this action nothing is forwarded.
 */
void render_body(struct buffer *b)
{
	buffer_printf(b,
		"\n\t# The agent wants to see the body: wait for as much as it reads, and ask with that.\n"
		"\thttp-request wait-for-body time %ds at-least %d" IF_ASKED "\n",
		SEAM_BODY_WAIT_S, SEAM_BODY_MAX);
	append_ask(b, "");
	append_ask(b, "");
	for (int i = 0; i < RENDER_BROKEN_CONNECTIONS; i++)
		append_ask(b, " { " RENDER_ERROR " -m int 255 257 }");
}
