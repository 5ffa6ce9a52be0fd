#include "common/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(slice_from_str(text), &ip), 0);
	return ip;
}

static void both_families_come_back_as_written(void **state)
{
	const char *texts[] = {"0.0.0.0", "255.255.255.255", "127.0.0.1", "::", "::1",
		"2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1:2:3:4"};
	char out[IP_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ip ip = ip_of(texts[i]);
		assert_string_equal(ip_format(&ip, out), texts[i]);
		assert_int_equal(ip_is_v4(&ip), strchr(texts[i], ':') == NULL);
	}
}

static void a_mapped_address_is_the_ipv4_one(void **state)
{
	const uint8_t four[] = {10, 1, 2, 3};
	struct ip mapped = ip_of("::ffff:10.1.2.3");
	struct ip plain = ip_from_v4(four);
	struct ip raw = ip_from_v6(plain.b);
	struct cidr net;

	(void)state;
	assert_memory_equal(&mapped, &plain, sizeof(plain));
	assert_memory_equal(&raw, &plain, sizeof(plain));
	assert_int_equal(cidr_parse(SLICE_LITERAL("10.0.0.0/8"), &net), 0);
	assert_true(cidr_has(&net, &mapped));
}

static void what_is_no_address_is_refused(void **state)
{
	const char *bad[] = {"", " 1.2.3.4", "1.2.3.4 ", "01.2.3.4", "1.2.3.256", "1.2.3",
		"0x7f.0.0.1", "[::1]", "fe80::1%lo", ":::", "1::2::3", "localhost",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
	struct ip ip;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ip_parse(slice_from_str(bad[i]), &ip), -EINVAL);
	assert_int_equal(ip_parse(SLICE_LITERAL("1.2.3.4\0"), &ip), -EINVAL);
	assert_int_equal(ip_parse((struct slice){NULL, 0}, &ip), -EINVAL);
}

/* Every prefix length of both families against a bit by bit comparison. */
static void a_network_has_what_shares_its_bits(void **state)
{
	uint8_t all[16];
	struct cidr net = {.bits = 0};

	(void)state;
	memset(all, 0xff, sizeof(all));
	for (unsigned bits = 0; bits <= 128; bits++) {
		net.bits = (uint8_t)bits;
		memset(net.ip.b, 0, 16);
		for (unsigned i = 0; i < bits; i++)
			net.ip.b[i / 8] = (uint8_t)(net.ip.b[i / 8] | 0x80 >> i % 8);
		for (unsigned flip = 0; flip < 128; flip++) {
			struct ip ip = ip_from_v6(all);
			ip.b[flip / 8] = (uint8_t)(ip.b[flip / 8] ^ 0x80 >> flip % 8);
			assert_int_equal(cidr_has(&net, &ip), flip >= bits);
		}
	}
}

static void every_network_reads_as_it_is_written(void **state)
{
	char text[CIDR_TEXT_SIZE];
	char again[CIDR_TEXT_SIZE];
	struct cidr net;

	(void)state;
	for (int bits = 0; bits <= 32; bits++) {
		uint32_t address = htonl(bits ? 0xffffffffu << (32 - bits) : 0);
		char ip[INET_ADDRSTRLEN];
		inet_ntop(AF_INET, &address, ip, sizeof(ip));
		snprintf(text, sizeof(text), bits == 32 ? "%s" : "%s/%d", ip, bits);
		assert_int_equal(cidr_parse(slice_from_str(text), &net), 0);
		assert_int_equal(net.bits, 96 + bits);
		assert_string_equal(cidr_format(&net, again), text);
	}
	assert_int_equal(cidr_parse(SLICE_LITERAL("10.0.0.1/32"), &net), 0);
	assert_string_equal(cidr_format(&net, again), "10.0.0.1");
}

static void a_list_is_bounded_and_whole(void **state)
{
	struct cidr nets[3];
	size_t n = 77;

	(void)state;
	assert_int_equal(
		cidr_parse_list(SLICE_LITERAL("10.0.0.0/8, ::1 ,1.2.3.4"), nets, 3, &n), 0);
	assert_int_equal(n, 3);
	n = 77;
	assert_int_equal(
		cidr_parse_list(SLICE_LITERAL("1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4"), nets, 3, &n),
		-E2BIG);
	assert_int_equal(cidr_parse_list(SLICE_LITERAL("1.1.1.1,"), nets, 3, &n), -EINVAL);
	assert_int_equal(cidr_parse_list(SLICE_LITERAL(" "), nets, 3, &n), -EINVAL);
	assert_int_equal(n, 77);
	assert_int_equal(cidr_parse_list(SLICE_LITERAL(""), nets, 0, &n), 0);
	assert_int_equal(n, 0);
}

static void no_list_lets_everybody_in_and_a_list_only_its_own(void **state)
{
	struct ip inside = ip_of("10.9.9.9");
	struct ip outside = ip_of("2001:db8::1");
	struct cidr nets[2];
	size_t n;

	(void)state;
	assert_int_equal(cidr_parse_list(SLICE_LITERAL("192.0.2.0/24,10.0.0.0/8"), nets, 2, &n), 0);
	assert_true(cidr_list_allows(nets, n, &inside));
	assert_false(cidr_list_allows(nets, n, &outside));
	assert_true(cidr_list_allows(nets, 0, &outside));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_come_back_as_written),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_network_has_what_shares_its_bits),
		cmocka_unit_test(every_network_reads_as_it_is_written),
		cmocka_unit_test(a_list_is_bounded_and_whole),
		cmocka_unit_test(no_list_lets_everybody_in_and_a_list_only_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
