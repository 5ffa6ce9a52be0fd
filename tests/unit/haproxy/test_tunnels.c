/* HAProxy's output about its WebSockets. */
#include "haproxy/tunnels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define HEAD "# table: relay-tunnels, type: string, size:102400, used:3\n"
#define ROW(key) HEAD "0x1: key=" key " use=1 exp=59990 conn_cur=1\n\n"

static size_t parse(const char *text, struct buffer *out)
{
	buffer_clear(out);
	assert_int_equal(tunnels_parse_table(slice_from_str(text), 42, out), 0);
	return out->len / sizeof(struct tunnel);
}

static void reads_the_rows_of_every_version(void **state)
{
	struct buffer out = {0};
	char text[IP_TEXT_SIZE];

	(void)state;
	assert_int_equal(
		parse(HEAD
			"0x55: key=1|2|3|203.0.113.7|198.51.100.1:5000 use=1 exp=59990"
			" conn_cur=1\n"
			"0x56: key=10|20|4294967295|2001:db8::7|2001:db8::1:6000|4294967295 use=1"
			" exp=1 shard=0 conn_cur=1\n"
			"0x57: key=1|2|3|-|198.51.100.1:5001 use=1 exp=1 conn_cur=1\n\n",
			&out),
		3);
	const struct tunnel *t = (const void *)out.data;
	assert_int_equal(t[0].tenant, 1);
	assert_int_equal(t[0].key, 2);
	assert_int_equal(t[0].account, 3);
	assert_int_equal(t[0].stream.worker, 42);
	assert_int_equal(t[0].stream.session, 0);
	assert_true(t[0].has_client);
	assert_string_equal(ip_format(&t[0].client, text), "203.0.113.7");
	assert_string_equal(t[0].stream.source, "198.51.100.1:5000");
	assert_int_equal(t[1].account, UINT32_MAX);
	assert_string_equal(ip_format(&t[1].client, text), "2001:db8::7");
	assert_string_equal(t[1].stream.source, "2001:db8::1:6000");
	assert_int_equal(t[0].stream.number, 0);
	assert_int_equal(t[1].stream.number, UINT32_MAX);
	assert_false(t[2].has_client);
	buffer_fini(&out);
}

static void leaves_out_what_is_no_row(void **state)
{
	static const char *const texts[] = {
		ROW("1|2|3|203.0.113.7|"),
		ROW("1|2|3|203.0.113.7"),
		ROW("1|2|3"),
		ROW("1|2|3|203.0.113.7|198.51.100.1:5000|x"),
		ROW("1|2|3|203.0.113.7|198.51.100.1:5000|1|2"),
		ROW("a|b|c|203.0.113.7|198.51.100.1:5000"),
		ROW("1|2|3|203.0.113.7|1234567890123456789012345678901234567890123456789012345:5000"),
		HEAD "key=1|2|3|203.0.113.7|198.51.100.1:5000\n",
		HEAD "0x1:\n",
		HEAD,
		"No such table\n",
		"",
	};
	struct buffer out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse(texts[i], &out), 0);
	buffer_fini(&out);
}

#define SESSION(fe, scf, scb)                                                                      \
	"0x7f6365877a00: proto=tcpv4 src=127.0.0.1:56916 fe=" fe " be=b2-ws-direct srv=out ts=00"  \
	" epoch=0 age=1s calls=6 rate=1 cpu=0 lat=0 rq[f=848000h,i=0,an=00h,ax=]"                  \
	" rp[f=80048000h,i=0,an=00h,ax=] scf=[" scf ",fd=15,rex=,wex=]"                            \
	" scb=[" scb ",fd=17,rex=59m59s,wex=] exp=59m59s rc=0 c_exp="

/* Lines of HAProxy 2.6.12, 3.0.11, 3.2.26 and 3.4.7. */
static void knows_a_stream_that_is_half_closed(void **state)
{
	static const struct {
		const char *line;
		bool found, half;
	} rows[] = {
		{SESSION("relay-in", "8,1000h", "8,1011h"), true, false},
		{SESSION("relay-in", "8,0h", "8,11h"), true, false},
		{SESSION("relay-in", "8,1400h", "8,1001h"), true, false},
		{SESSION("relay-in", "8,41002h", "8,21001h"), true, true},
		{SESSION("relay-in", "8,21400h", "8,4100bh"), true, true},
		{SESSION("relay-in", "8,21400h", "9,4100bh"), true, false},
		{SESSION("relay-in", "8", "8"), true, false},
		{SESSION("relay-again", "8,41002h", "8,21001h"), false, false},
		{SESSION("GLOBAL", "8,20000h", "8,40003h"), false, false},
		{"0x: proto=tcpv4 src=127.0.0.1:1 fe=relay-in", false, false},
		{"0x1g: proto=tcpv4 src=127.0.0.1:1 fe=relay-in", false, false},
		{"0x1: proto=tcpv4 fe=relay-in", false, false},
		{"", false, false},
	};
	struct tunnel_session s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s = (struct tunnel_session){0};
		assert_int_equal(
			tunnels_parse_session(slice_from_str(rows[i].line), &s), rows[i].found);
		assert_int_equal(s.is_half_closed, rows[i].half);
		if (!rows[i].found)
			continue;
		assert_true(s.session == 0x7f6365877a00);
		assert_true(slice_eq_str(s.source, "127.0.0.1:56916"));
	}
}

static void knows_the_number_of_a_websocket(void **state)
{
	static const char open[] =
		"0x7ff805eb8000: [28/Nov/2026:12:12:07.054119] id=17 proto=tcpv4 source=127.0.0.1:41528\n"
		"  flags=0x400c4b, conn_retries=0\n"
		"  txn=0x7ff805e971c0 flags=0x108000 meth=1 status=101 req.st=MSG_TUNNEL rsp.st=MSG_TUNNEL"
		" req.f=0xcc rsp.f=0xcc\n";
	static const char plain[] =
		"0x7ff805eb8000: [28/Nov/2026:12:12:07.054119] id=17 proto=tcpv4 source=127.0.0.1:41528\n"
		"  txn=0x7ff805e971c0 flags=0x108000 meth=1 status=200 req.st=MSG_DONE rsp.st=MSG_DATA\n";

	(void)state;
	assert_int_equal(tunnels_parse_number(SLICE_LITERAL(open)), 17);
	assert_int_equal(tunnels_parse_number(SLICE_LITERAL(plain)), 0);
	assert_int_equal(tunnels_parse_number(SLICE_LITERAL("")), 0);
	assert_int_equal(tunnels_parse_number(SLICE_LITERAL("\n")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_rows_of_every_version),
		cmocka_unit_test(leaves_out_what_is_no_row),
		cmocka_unit_test(knows_a_stream_that_is_half_closed),
		cmocka_unit_test(knows_the_number_of_a_websocket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
