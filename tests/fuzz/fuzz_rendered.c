/* Files that a control process could hand to the keeper: the check ends, reads inside the text and is repeatable. */
#include "agent/keeper/rendered.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"relay.cfg", "relay-spoe.conf", "ca-0123456789abcdef01234567.pem"};
	const struct rendered_places places = {.output_dir = "/etc/haproxy/relay"};
	struct slice text = {(const char *)data, size};
	struct errtext e;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int error = rendered_check(names[i], text, &places, &e);
		/* nothing that passes has a section that starts programs */
		if (!error && i == 0 && memmem(data, size, "\nprogram ", strlen("\nprogram ")))
			abort();
		if (error != rendered_check(names[i], text, &places, &e))
			abort();
	}
	return 0;
}
