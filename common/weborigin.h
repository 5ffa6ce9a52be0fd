/* The origin of a web page, as a browser writes it in the header Origin (RFC 6454, section 6.2). */
#ifndef RELAY_COMMON_WEBORIGIN_H
#define RELAY_COMMON_WEBORIGIN_H

#include "common/slice.h"

#include <stdbool.h>

#define WEBORIGIN_MAX 300 /* bytes */

/*
 * scheme://host or scheme://host:port in small letters. The port is not the scheme's own, because browsers
 * leave that out. It has no blank, quote, backslash or comma.
 */
bool weborigin_is_valid(struct slice text);

#endif
