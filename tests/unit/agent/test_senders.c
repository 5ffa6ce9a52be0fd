/* Who sends end records: real sockets of two users, seen through sock_diag and through /proc/net/udp. */
#include "agent/senders.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STRANGER 54321

struct world {
	struct senders senders;
	struct allowed allowed;
	int receiver;
};

static bool with_proc; /* sock_diag is not there */

static struct sockaddr_storage name_of(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return name;
}

static void fill(struct sockaddr_storage *name, const char *host, uint16_t port, socklen_t *ret_len)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	memset(name, 0, sizeof(*name));
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		memcpy(name, &in, sizeof(in));
		*ret_len = sizeof(in);
	} else {
		assert_int_equal(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
		memcpy(name, &in6, sizeof(in6));
		*ret_len = sizeof(in6);
	}
}

static int socket_at(const char *host, uint16_t port)
{
	struct sockaddr_storage name;
	socklen_t len;

	fill(&name, host, port, &len);
	int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage name = name_of(fd);
	struct sockowner_address a;

	assert_int_equal(sockowner_address((struct sockaddr *)&name, &a), 0);
	return a.port;
}

/* The socket of a user who is not allowed: root makes one; others are then not allowed themselves. */
static int strangers_socket_at(struct world *w, const char *host, uint16_t port)
{
	bool is_root = geteuid() == 0;

	if (is_root)
		assert_int_equal(seteuid(STRANGER), 0);
	else
		w->allowed.count = 0;
	int fd = socket_at(host, port);
	if (is_root)
		assert_int_equal(seteuid(0), 0);
	return fd;
}

static enum senders_verdict verdict_on(
	struct world *w, const struct sockaddr_storage *from, int64_t now_ms)
{
	return senders_judge(&w->senders, (const struct sockaddr *)from, now_ms);
}

static bool allows(struct world *w, const struct sockaddr_storage *from, int64_t now_ms)
{
	return verdict_on(w, from, now_ms) == SENDERS_ALLOWED;
}

static void begin(struct world *w, const char *host)
{
	memset(w, 0, sizeof(*w));
	w->allowed.uids[w->allowed.count++] = geteuid();
	w->receiver = socket_at(host, 0);
	senders_init(&w->senders, w->receiver, &w->allowed);
	assert_false(w->senders.is_blind);
	assert_true(w->senders.owner.netlink_fd >= 0);
	if (!with_proc)
		return;
	sockowner_close(&w->senders.owner);
	assert_int_equal(sockowner_open(&w->senders.owner, w->receiver, SOCKOWNER_LISTS), 0);
}

static void end(struct world *w)
{
	senders_fini(&w->senders);
	close(w->receiver);
}

static void takes_only_allowed_users(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	struct world w;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(&w, hosts[i]);
		int ours = socket_at(hosts[i], 0);
		struct sockaddr_storage from = name_of(ours);
		assert_true(allows(&w, &from, 0));
		int theirs = strangers_socket_at(&w, hosts[i], 0);
		from = name_of(theirs);
		assert_int_equal(verdict_on(&w, &from, 0), SENDERS_REFUSED);
		assert_int_equal(verdict_on(&w, &from, 1), SENDERS_REFUSED);
		assert_int_equal(w.senders.count, 1);
		close(ours);
		close(theirs);
		end(&w);
	}
}

/* As HAProxy does: the socket is bound to no address. */
static void takes_a_socket_without_an_address(void **state)
{
	struct world w;
	struct sockaddr_storage from;
	socklen_t len;

	(void)state;
	begin(&w, "127.0.0.1");
	int ours = socket_at("0.0.0.0", 0);
	fill(&from, "127.0.0.1", port_of(ours), &len);
	assert_true(allows(&w, &from, 0));
	int both = socket_at("::", 0);
	fill(&from, "127.0.0.1", port_of(both), &len);
	assert_true(allows(&w, &from, 0));
	close(ours);
	close(both);
	end(&w);
}

static void a_port_that_another_user_took_is_refused(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "127.0.0.1");
	int ours = socket_at("127.0.0.1", 0);
	struct sockaddr_storage from = name_of(ours);
	assert_true(allows(&w, &from, 1000));
	uint16_t port = port_of(ours);
	close(ours);
	int theirs = strangers_socket_at(&w, "127.0.0.1", port);
	assert_int_equal(verdict_on(&w, &from, 1000 + SENDERS_RECHECK_MS), SENDERS_REFUSED);
	assert_int_equal(w.senders.count, 0);
	close(theirs);
	/* nobody has it now: nobody is believed any longer */
	assert_false(allows(&w, &from, 1000 + SENDERS_RECHECK_MS + 1));
	end(&w);
}

static void another_address_with_the_same_port_is_another_sender(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "127.0.0.1");
	int ours = socket_at("127.0.0.1", 0);
	struct sockaddr_storage from = name_of(ours);
	assert_true(allows(&w, &from, 0));
	int theirs = strangers_socket_at(&w, "127.0.0.2", port_of(ours));
	from = name_of(theirs);
	assert_false(allows(&w, &from, 1));
	close(ours);
	close(theirs);
	end(&w);
}

/* HAProxy ends right after its last record. */
static void the_last_records_of_a_process_count(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "127.0.0.1");
	int ours = socket_at("127.0.0.1", 0);
	struct sockaddr_storage from = name_of(ours);
	assert_true(allows(&w, &from, 0));
	senders_sweep(&w.senders, 5000);
	close(ours);
	assert_true(allows(&w, &from, 5000 + SENDERS_RECHECK_MS));
	assert_true(allows(&w, &from, 5000 + SENDERS_GONE_MS - 1));
	assert_false(allows(&w, &from, 5000 + SENDERS_GONE_MS));
	assert_int_equal(w.senders.count, 1);
	senders_sweep(&w.senders, 5000 + SENDERS_GONE_MS);
	assert_int_equal(w.senders.count, 0);
	end(&w);
}

static void an_unknown_sender_that_is_gone_is_told_apart(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "127.0.0.1");
	int ours = socket_at("127.0.0.1", 0);
	struct sockaddr_storage from = name_of(ours);
	close(ours);
	assert_int_equal(verdict_on(&w, &from, 0), SENDERS_GONE);
	end(&w);
}

/* Another host or network namespace is not seen: there the secret is the check. */
static void senders_elsewhere_pass_if_the_receiver_is_not_on_loopback(void **state)
{
	struct world w;
	struct sockaddr_storage from;
	socklen_t len;

	(void)state;
	begin(&w, "0.0.0.0");
	fill(&from, "192.0.2.1", 4711, &len);
	assert_true(allows(&w, &from, 0));
	int theirs = strangers_socket_at(&w, "127.0.0.1", 0);
	from = name_of(theirs);
	assert_false(allows(&w, &from, 0));
	close(theirs);
	end(&w);
}

static void more_senders_than_it_keeps_are_looked_up(void **state)
{
	static int fds[SENDERS_MAX + 50];
	struct world w;

	(void)state;
	begin(&w, "127.0.0.1");
	for (int64_t now = 0; now < 3; now++) {
		for (size_t i = 0; i < SENDERS_MAX + 50; i++) {
			if (now == 0)
				fds[i] = socket_at("127.0.0.1", 0);
			struct sockaddr_storage from = name_of(fds[i]);
			assert_true(allows(&w, &from, now));
		}
	}
	assert_int_equal(w.senders.count, SENDERS_MAX);
	for (size_t i = 0; i < SENDERS_MAX + 50; i++)
		close(fds[i]);
	senders_sweep(&w.senders, SENDERS_GONE_MS + 2);
	assert_int_equal(w.senders.count, 0);
	end(&w);
}

static int use_proc(void **state)
{
	(void)state;
	with_proc = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_only_allowed_users),
		cmocka_unit_test(takes_a_socket_without_an_address),
		cmocka_unit_test(a_port_that_another_user_took_is_refused),
		cmocka_unit_test(another_address_with_the_same_port_is_another_sender),
		cmocka_unit_test(the_last_records_of_a_process_count),
		cmocka_unit_test(an_unknown_sender_that_is_gone_is_told_apart),
		cmocka_unit_test(senders_elsewhere_pass_if_the_receiver_is_not_on_loopback),
		cmocka_unit_test(more_senders_than_it_keeps_are_looked_up),
	};
	int failed = cmocka_run_group_tests_name("sock_diag", tests, NULL, NULL);

	return failed + cmocka_run_group_tests_name("/proc/net/udp", tests, use_proc, NULL);
}
