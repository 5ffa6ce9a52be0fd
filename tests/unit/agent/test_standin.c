#include "agent/keeper/standin.h"
#include "common/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTIONS 40

static int listen_somewhere(struct address *ret)
{
	char text[64];
	struct errtext e;

	snprintf(text, sizeof(text), "abns:standin-test-%d", (int)getpid());
	assert_int_equal(address_parse(slice_from_str(text), ret, &e), 0);
	int fd = address_listen(ret, 0600, &e);
	assert_true(fd >= 0);
	return fd;
}

static int connect_to(const struct address *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &a->u.sa, a->len), 0);
	return fd;
}

/* All that the peer sent until it closed. */
static void read_all(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, out + n, size - 1 - n, 0)) > 0)
		n += (size_t)got;
	out[n] = '\0';
}

static void every_connection_gets_the_reason(void **state)
{
	struct address a;
	int listener = listen_somewhere(&a);
	int fds[CONNECTIONS];
	char text[2048];

	(void)state;
	standin_answer(listener, "nobody has asked");
	for (size_t i = 0; i < CONNECTIONS; i++) {
		fds[i] = connect_to(&a);
		/* a question that is not read must not cost the answer */
		assert_int_equal(send(fds[i], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	}
	standin_answer(listener, "it has been starting for 3 s");
	for (size_t i = 0; i < CONNECTIONS; i++) {
		read_all(fds[i], text, sizeof(text));
		assert_memory_equal(text, "HTTP/1.1 503 ", 13);
		assert_non_null(
			strstr(text, "\r\n\r\n{\"error\":{\"code\":\"control_not_running\","));
		assert_non_null(strstr(text, "is not running: it has been starting for 3 s\"}}\n"));
		close(fds[i]);
	}
	close(listener);
}

static void the_length_is_right_and_the_reason_cannot_leave_its_text(void **state)
{
	struct address a;
	int listener = listen_somewhere(&a);
	int fd = connect_to(&a);
	char text[2048];

	(void)state;
	standin_answer(listener, "a \"quote\", a \\ and\r\n\x01\x7f an end");
	read_all(fd, text, sizeof(text));
	char *body = strstr(text, "\r\n\r\n");
	assert_non_null(body);
	const char *field = strstr(text, "Content-Length: ");
	assert_non_null(field);
	assert_int_equal(strtoul(field + strlen("Content-Length: "), NULL, 10), strlen(body + 4));
	assert_string_equal(
		strstr(text, "running: "), "running: a  quote , a   and     an end\"}}\n");
	close(fd);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_connection_gets_the_reason),
		cmocka_unit_test(the_length_is_right_and_the_reason_cannot_leave_its_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
