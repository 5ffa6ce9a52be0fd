/*
 * Which system calls a process may make from now on, for good, and for its children. A process that was taken
 * over then cannot do what its work never needs. A refused call fails with an error and is in the kernel's
 * audit log; nothing is killed, so a mistake here is a failing call, not an outage.
 */
#ifndef RELAY_COMMON_SANDBOX_H
#define RELAY_COMMON_SANDBOX_H

/*
 * The agent, when it serves: input and output on what is open, memory, time. It opens no file, connects
 * nowhere, starts nothing. 0 or -errno; the caller goes on without it.
 */
int sandbox_agent(void);
/*
 * Control, which opens files, connects and runs HAProxy's check: all but what changes the machine, looks into
 * other processes, or is a known way to attack the kernel.
 */
int sandbox_control(void);

#endif
