/* The check of what HAProxy's master may read: all that we render passes, and nothing that helps an intruder. */
#include "agent/keeper/rendered.h"

#include "common/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FILE_MAX ((size_t)1 << 20)
#define DIRECTORY "/etc/spoa-relay/haproxy"

static const struct rendered_places places = {
	.output_dir = DIRECTORY, .sockets = {"/run/haproxy/admin", ""}};

static int check(const char *name, const char *text, struct errtext *e)
{
	*e = (struct errtext){""};
	return rendered_check(name, slice_from_str(text), &places, e);
}

static int check_in(const char *section, const char *line, struct errtext *e)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s\n\t%s\n", section, line);
	return check("relay.cfg", text, e);
}

static void check_golden(const char *folder, const char *name)
{
	struct buffer text = {0};
	struct errtext e = {""};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/%s", RENDERED_DIR, folder, name);
	assert_int_equal(buffer_read_file(&text, path, FILE_MAX), 0);
	if (rendered_check(name, buffer_slice(&text), &places, &e))
		fail_msg("%s: %s\nIf HAProxy may have it, add the word to agent/keeper/rendered*.c",
			folder, e.text);
	buffer_fini(&text);
}

static void all_that_we_render_passes(void **state)
{
	DIR *dir = opendir(RENDERED_DIR);
	const struct dirent *entry;
	size_t folders = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "README.md") == 0)
			continue;
		check_golden(entry->d_name, "relay.cfg");
		check_golden(entry->d_name, "relay-spoe.conf");
		folders++;
	}
	closedir(dir);
	assert_true(folders > 5);
}

static const struct {
	const char *section;
	const char *line;
} refused[] = {
	{"global", "user root"},
	{"global", "group root"},
	{"global", "uid 0"},
	{"global", "chroot /"},
	{"global", "insecure-fork-wanted"},
	{"global", "insecure-setuid-wanted"},
	{"global", "external-check"},
	{"global", "lua-load /tmp/a.lua"},
	{"global", "lua-load-per-thread /tmp/a.lua"},
	{"global", "lua-prepend-path /tmp/?.lua"},
	{"global", "ssl-engine /tmp/a.so"},
	{"global", "ssl-provider /tmp/a.so"},
	{"global", "pidfile /etc/passwd"},
	{"global", "setenv PATH /tmp"},
	{"global", "presetenv LD_PRELOAD /tmp/a.so"},
	{"global", "resetenv"},
	{"global", "default-path origin /tmp"},
	{"global", "stats socket /etc/shadow mode 666 level admin"},
	{"global", "stats socket /tmp/../etc/a.sock"},
	{"global", "stats socket fd@3"},
	{"global", "stats bind-process all"},
	{"global", "server-state-file /etc/shadow"},
	{"global", "h1-case-adjust-file /etc/shadow"},
	{"global", "unix-bind user root"},
	{"global", "set-dumpable"},
	{"global", "log /dev/log local0"},
	{"program evil", "command /bin/sh"},
	{"global\n\tprogram evil", "command /bin/sh"},
	{"ring r", "backing-file /etc/passwd"},
	{"userlist u", "user root insecure-password x"},
	{"cache c", "total-max-size 4"},
	{"peers p", "peer a 127.0.0.1:1"},
	{"fcgi-app f", "docroot /"},
	{"http-errors e", "errorfile 400 /etc/shadow"},
	{"crt-store c", "load crt /etc/shadow"},
	{"acme a", "directory https://example.com"},
	{"defaults", "mode http"},
	{"defaults mine", "mode http"},
	{"frontend mine", "mode http"},
	{"frontend relay-in extra", "mode http"},
	{"frontend relay-in", "errorfile 503 /etc/shadow"},
	{"frontend relay-in", "errorfiles e"},
	{"frontend relay-in", "http-error status 503 file /etc/shadow"},
	{"frontend relay-in", "http-error status 503 lf-file /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 file /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 'file' /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 fi\"le\" /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 fi\\x6ce /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 \"f\\ile\" /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 \"$SPOA_RELAY_SECRET\" /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 \"${HOME}\" /etc/shadow"},
	{"frontend relay-in", "http-request return status 200 $HOME /etc/shadow"},
	{"frontend relay-in", "http-request lua.evil"},
	{"frontend relay-in", "http-request use-service lua.evil"},
	{"frontend relay-in", "http-request set-header X %[lua.evil]"},
	{"frontend relay-in", "http-request set-header X %[path,lua.evil]"},
	{"frontend relay-in", "http-request set-header X %[path,map(/etc/shadow)]"},
	{"frontend relay-in", "http-request set-header X '%[path,map_beg(/etc/shadow)]'"},
	{"frontend relay-in", "http-request set-header X %[hdr(a),jwt_verify(alg,/etc/shadow)]"},
	{"frontend relay-in", "http-request set-header X %[env(HOME)]"},
	{"frontend relay-in", "http-request add-acl(/etc/shadow) %[src]"},
	{"frontend relay-in", "http-request set-map(/etc/shadow) a b"},
	{"frontend relay-in", "acl a path -f /etc/shadow"},
	{"frontend relay-in", "acl a path -i '-f' /etc/shadow"},
	{"frontend relay-in", "use_backend b1 if { path -f /etc/shadow }"},
	{"frontend relay-in", "tcp-request content lua.evil"},
	{"frontend relay-in", "bind fd@3"},
	{"frontend relay-in", "bind /etc/shadow"},
	{"frontend relay-in", "bind unix@/etc/shadow mode 666"},
	{"frontend relay-in", "bind :443 ssl crt-list /etc/shadow"},
	{"frontend relay-in", "bind :443 ssl tls-ticket-keys /etc/shadow crt a"},
	{"frontend relay-in", "filter spoe engine relay config /etc/shadow"},
	{"frontend relay-in", "filter lua.evil"},
	{"frontend relay-in", "filter trace"},
	{"frontend relay-in", "option external-check"},
	{"frontend relay-in", "external-check command /bin/sh"},
	{"frontend relay-in", "stats admin if TRUE"},
	{"frontend relay-in", "log /dev/log local0"},
	{"frontend relay-in", "log ring@r local0"},
	{"frontend relay-in", "include /etc/shadow"},
	{"frontend relay-in", "load-server-state-from-file global"},
	{"backend b1", "server a 127.0.0.1:1 source 0.0.0.0 usesrc clientip"},
	{"backend b1", "server a 127.0.0.1:1 ssl crl-file /etc/shadow"},
	{"backend b1", "mode 'http"},
	{"backend b1", "mode http\001"},
	{"backend b1", "mode \xc3\xa4"},
	{"backend b1", "\"mode http\""},
	{"resolvers relay-dns", "user root"},
	{".notice x", "mode http"},
};

static void what_helps_an_intruder_is_refused(void **state)
{
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (check_in(refused[i].section, refused[i].line, &e) != -EPERM)
			fail_msg("passed: %s / %s", refused[i].section, refused[i].line);
		assert_non_null(strstr(e.text, "relay.cfg:"));
	}
}

static void the_same_words_pass_where_they_are_harmless(void **state)
{
	static const char *const lines[] = {
		"http-request return status 200 content-type text/plain string 'no $uch file, map or lua'",
		"http-request del-header x-map -m beg",
		"acl a hdr(x-lua) -m found # user root",
		"# program",
		"",
		"bind unix@/run/spoa-relay/again.sock mode 600 user haproxy group haproxy accept-proxy",
		"bind unix@/run/haproxy/admin",
		"server out 10.0.0.1:443 ssl verify required ca-file \"${SPOA_RELAY_CA}\"",
		"filter spoe engine relay config '" DIRECTORY "/relay-spoe.conf'",
	};
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (check_in("frontend relay-in", lines[i], &e))
			fail_msg("%s", e.text);
	}
	assert_int_equal(check_in("global", "stats socket /run/haproxy/admin mode 660", &e), 0);
}

static void the_spoe_file_has_its_own_words(void **state)
{
	struct errtext e;

	(void)state;
	assert_int_equal(check("relay-spoe.conf", "[relay]\nspoe-agent a\n\tgroups b\n", &e), 0);
	assert_int_equal(check("relay-spoe.conf", "[relay]\nglobal\n\tuser root\n", &e), -EPERM);
	assert_int_equal(check("relay-spoe.conf", "[relay]\n\targs a=lua.evil\n", &e), -EPERM);
	assert_int_equal(check("relay.cfg", "[relay]\n", &e), -EPERM);
}

static void only_our_files_have_a_name(void **state)
{
	static const char *const names[] = {"", "passwd", "../relay.cfg", "/etc/passwd",
		"relay.cfg.new", "ca-.pem", "ca-0123456789abcdef0123456g.pem",
		"ca-0123456789abcdef01234567.pem/x", "ca-/../../etc/crontab.pem", "a.cfg"};
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(check(names[i], "global\n", &e), -EPERM);
	assert_int_equal(check("ca-0123456789abcdef01234567.pem", "-----BEGIN\n", &e), 0);
	assert_int_equal(
		check("ca-0123456789abcdef01234567.pem", "-----BEGIN PRIVATE KEY\n", &e), -EPERM);
}

static void a_text_must_be_whole(void **state)
{
	static char text[RENDERED_NAME_MAX + 70000];
	struct errtext e;

	(void)state;
	assert_int_equal(check("relay.cfg", "", &e), -EPERM);
	assert_int_equal(check("relay.cfg", "global", &e), -EPERM);
	assert_int_equal(
		rendered_check("relay.cfg", SLICE_LITERAL("global\n\0\n"), &places, &e), -EPERM);
	memset(text, 'a', sizeof(text) - 2);
	text[sizeof(text) - 2] = '\n';
	assert_int_equal(check("relay.cfg", text, &e), -EPERM);
	memset(text, ' ', 60000);
	for (size_t i = 0; i < 60000; i += 2)
		text[i] = 'a';
	text[60000] = '\n';
	text[60001] = '\0';
	assert_int_equal(check("relay.cfg", text, &e), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_we_render_passes),
		cmocka_unit_test(what_helps_an_intruder_is_refused),
		cmocka_unit_test(the_same_words_pass_where_they_are_harmless),
		cmocka_unit_test(the_spoe_file_has_its_own_words),
		cmocka_unit_test(only_our_files_have_a_name),
		cmocka_unit_test(a_text_must_be_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
