/* The version this program was built from, as --version and relay_build_info show it. */
#ifndef RELAY_COMMON_VERSION_H
#define RELAY_COMMON_VERSION_H

const char *version_text(void);

#endif
