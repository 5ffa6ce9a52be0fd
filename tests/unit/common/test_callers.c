/* Which users HAProxy's processes have. The names are those of every Debian system. */
#include "common/callers.h"

#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct callers callers_of(const char *allowed, bool as_root)
{
	struct config c;
	struct callers callers;

	config_init(&c);
	snprintf(c.spop_allow_users.s, sizeof(c.spop_allow_users.s), "%s", allowed);
	callers_find(&c, as_root, &callers);
	return callers;
}

static void root_and_unknown_users_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(callers_of("root", true).count, CALLERS_NONE);
	assert_int_equal(callers_of(" root, no-such-user ,,", true).count, CALLERS_NONE);
	assert_int_equal(callers_of("spoa-relay, spoa-relay-agent", true).count, CALLERS_NONE);
}

static void the_first_user_owns_the_sockets(void **state)
{
	const uid_t daemon = getpwnam("daemon")->pw_uid;
	struct callers one = callers_of("root, daemon, daemon", true);
	struct callers several = callers_of("daemon, bin", true);

	(void)state;
	assert_int_equal(one.count, CALLERS_ONE);
	assert_int_equal(one.uid, daemon);
	assert_int_equal(one.gid, getpwnam("daemon")->pw_gid);
	assert_int_equal(several.count, CALLERS_SEVERAL);
	assert_int_equal(several.uid, daemon);
}

static void the_default_is_haproxy_if_root_starts_the_relay(void **state)
{
	const struct passwd *haproxy = getpwnam("haproxy");
	struct callers by_default = callers_of("", true);

	(void)state;
	assert_int_equal(by_default.count, haproxy ? CALLERS_ONE : CALLERS_NONE);
	if (haproxy)
		assert_int_equal(by_default.uid, haproxy->pw_uid);
	assert_int_equal(callers_of("", false).count, CALLERS_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_and_unknown_users_do_not_count),
		cmocka_unit_test(the_first_user_owns_the_sockets),
		cmocka_unit_test(the_default_is_haproxy_if_root_starts_the_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
