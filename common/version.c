#include "common/version.h"

#include "relay_version.h"

const char *version_text(void)
{
	return RELAY_VERSION;
}
