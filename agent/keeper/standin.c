#include "agent/keeper/standin.h"

#include "common/buffer.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWERS_PER_TURN 64

/* A part of it comes from a child. */
static void put_plain(const char *text, struct buffer *out)
{
	for (const char *p = text; *p; p++) {
		bool is_plain = (unsigned char)*p >= ' ' && *p != '"' && *p != '\\' && *p != 0x7f;
		buffer_append(out, is_plain ? p : " ", 1);
	}
}

static void put_body(const char *reason, struct buffer *out)
{
	buffer_append_str(out,
		"{\"error\":{\"code\":\"control_not_running\","
		"\"message\":\"the control process is not running: ");
	put_plain(reason, out);
	buffer_append_str(out, "\"}}\n");
}

static void put_answer(const char *reason, struct buffer *out)
{
	struct buffer body = {0};

	put_body(reason, &body);
	buffer_printf(out,
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		body.len, buffer_str(&body));
	buffer_fini(&body);
}

void standin_answer(int listener, const char *reason)
{
	struct buffer answer = {0};

	put_answer(reason, &answer);
	for (int i = 0; i < ANSWERS_PER_TURN; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			break;
		/* a new connection has room for it; a peer that does not read loses it */
		(void)!send(fd, answer.data, answer.len, MSG_NOSIGNAL);
		close(fd);
	}
	buffer_fini(&answer);
}
