/* The machine: addresses of its interfaces, its clock. */
#include "admin/cli/doctor.h"

#include "common/clock.h"
#include "common/ip.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>

#define SANE_AFTER_MS INT64_C(1735689600000)  /* 2025-01-01 */
#define SANE_BEFORE_MS INT64_C(4102444800000) /* 2100-01-01 */

static bool is_on_interface(const struct ifaddrs *list, const struct ip *wanted)
{
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct ip has;
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			has = ip_from_v4((const uint8_t *)&(
				(const struct sockaddr_in *)(const void *)i->ifa_addr)
						 ->sin_addr);
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			has = ip_from_v6(((const struct sockaddr_in6 *)(const void *)i->ifa_addr)
						 ->sin6_addr.s6_addr);
		else
			continue;
		if (memcmp(&has, wanted, sizeof(has)) == 0)
			return true;
	}
	return false;
}

static void check_source(struct doctor *d, const struct ifaddrs *list, json_object *egress)
{
	const char *kind = json_object_get_string(json_object_object_get(egress, "kind"));
	const char *address = json_object_get_string(json_object_object_get(egress, "address"));
	const char *name = json_object_get_string(json_object_object_get(egress, "name"));
	char remedy[128];
	struct ip ip;

	if (!kind || strcmp(kind, "source") != 0 || !address ||
		ip_parse(slice_from_str(address), &ip))
		return;
	snprintf(remedy, sizeof(remedy), "ip address add %s dev INTERFACE", address);
	if (is_on_interface(list, &ip))
		doctor_say(d, DOCTOR_OK, "egress", NULL, "%s: this machine has %s", name, address);
	else
		doctor_say(d, DOCTOR_PROBLEM, "egress", remedy,
			"%s: no interface of this machine has %s", name, address);
}

void doctor_check_egresses(struct doctor *d)
{
	json_object *items = json_object_object_get(d->egresses, "items");
	struct ifaddrs *list = NULL;

	if (!items || getifaddrs(&list) != 0) {
		doctor_say(d, DOCTOR_NOTE, "egress", NULL,
			"not checked: the source addresses are known to the running relay alone");
		return;
	}
	for (size_t i = 0; i < json_object_array_length(items); i++)
		check_source(d, list, json_object_array_get_idx(items, i));
	freeifaddrs(list);
}

void doctor_check_clock(struct doctor *d)
{
	struct timex t = {0};
	int64_t now_ms = clock_wall_ms();
	char text[CLOCK_RFC3339_SIZE];

	if (now_ms < SANE_AFTER_MS || now_ms > SANE_BEFORE_MS)
		doctor_say(d, DOCTOR_PROBLEM, "clock", "set the clock, and run NTP", "it is %s",
			clock_format_rfc3339(now_ms, text));
	else if (adjtimex(&t) < 0)
		doctor_say(d, DOCTOR_NOTE, "clock", NULL,
			"not checked: the kernel does not say whether the clock is synchronised");
	else if (t.status & STA_UNSYNC)
		doctor_say(d, DOCTOR_NOTE, "clock", "run chrony or systemd-timesyncd",
			"the clock is not synchronised");
	else
		doctor_say(d, DOCTOR_OK, "clock", NULL, "the clock is synchronised");
}
