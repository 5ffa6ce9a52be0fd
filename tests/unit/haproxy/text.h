/* Assertions about rendered text, for the tests of the renderer. */
#ifndef RELAY_TESTS_UNIT_HAPROXY_TEXT_H
#define RELAY_TESTS_UNIT_HAPROXY_TEXT_H

#include <stddef.h>

size_t count_of(const char *text, const char *part);
void assert_has(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);
void assert_before(const char *text, const char *first, const char *second);
/* A section of the text. Cuts the text off where the next section begins: use the last one first. */
char *section_of(char *text, const char *head);

#endif
