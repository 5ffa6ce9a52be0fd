/* The chroot in HAProxy's own configuration. */
#include "admin/publish/haproxy_chroot.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char debian[] = "global\n\tlog /dev/log\tlocal0\n\tchroot /var/lib/haproxy\n"
			     "\tuser haproxy\n\ndefaults\n\tmode http\n";

static void finds_the_chroot_of_the_global_section(void **state)
{
	static const struct {
		const char *text, *chroot;
	} cases[] = {
		{debian, "/var/lib/haproxy"},
		{"global\n  chroot '/a'\n", "/a"},
		{"global\nchroot \"/a/\"  # ours\r\n", "/a"},
		{"global # all\n chroot /a#b\n", "/a#b"},
		{"global\n# chroot /a\n", ""},
		{"global\n#chroot /a\n", ""},
		{"defaults\nchroot /a\n", ""},
		{"global\nchroot /a\ndefaults\nchroot /b\nglobal\nchroot /c\n", "/c"},
		{"global\nchroot\n", ""},
		{"global\nchroot /\n", ""},
		{"global\nchroot /a", "/a"},
		{"chroot /a", ""},
		{"", ""},
	};
	char out[HAPROXY_CHROOT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		haproxy_chroot_find(slice_from_str(cases[i].text), out);
		assert_string_equal(out, cases[i].chroot);
	}
	haproxy_chroot_find((struct slice){NULL, 0}, out);
	assert_string_equal(out, "");
}

static struct config config_with(const char *text, char path[32], const char *socket_dir)
{
	struct config c;

	strcpy(path, "/tmp/relay-chroot.XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	config_init(&c);
	snprintf(c.haproxy_config.s, sizeof(c.haproxy_config.s), "%s", path);
	snprintf(c.haproxy_socket_dir.s, sizeof(c.haproxy_socket_dir.s), "%s", socket_dir);
	return c;
}

static const char *chroot_of(json_object *options)
{
	json_object *o;

	assert_true(json_object_object_get_ex(options, HAPROXY_CHROOT_FOUND, &o));
	return json_object_get_string(o);
}

static void adds_a_chroot_that_has_the_sockets(void **state)
{
	char path[32];
	struct errtext note;
	struct config c = config_with(debian, path, "/var/lib/haproxy/relay");
	json_object *options = json_object_new_object();

	(void)state;
	haproxy_chroot_add(&c, options, &note);
	assert_string_equal(chroot_of(options), "/var/lib/haproxy");
	assert_string_equal(note.text, "");
	unlink(path);
	haproxy_chroot_add(&c, options, &note);
	assert_string_equal(chroot_of(options), "");
	json_object_put(options);
}

static void warns_of_a_chroot_without_the_sockets(void **state)
{
	char path[32];
	struct errtext note;
	struct config c = config_with(debian, path, "/var/lib/haproxy2");
	json_object *options = json_object_new_object();

	(void)state;
	haproxy_chroot_add(&c, options, &note);
	assert_string_equal(chroot_of(options), "");
	assert_non_null(strstr(note.text, "/var/lib/haproxy2 are outside"));
	unlink(path);
	haproxy_chroot_add(&c, options, &note);
	assert_string_equal(note.text, "");
	json_object_put(options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_chroot_of_the_global_section),
		cmocka_unit_test(adds_a_chroot_that_has_the_sockets),
		cmocka_unit_test(warns_of_a_chroot_without_the_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
