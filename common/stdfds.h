/*
 * Descriptors 0 to 2 of a program. A parent may have closed them: the next file or socket that the program opens would
 * take their place, and what is printed would be written into it.
 */
#ifndef RELAY_COMMON_STDFDS_H
#define RELAY_COMMON_STDFDS_H

/* First in main(): opens what is closed on /dev/null. Writing to such a stdout fails: nobody reads a result. 0 or -errno. */
int stdfds_open(void);

#endif
