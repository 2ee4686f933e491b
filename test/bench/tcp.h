/* The few socket calls that origin, relay and load share. IPv4 on the loopback only.
 *
 * All of them die with a reason where a benchmark could only go on with a wrong number.
 */
#ifndef TEST_BENCH_TCP_H
#define TEST_BENCH_TCP_H

#include <stdbool.h>
#include <stdint.h>

/* A listening socket on 127.0.0.1, non-blocking. `shared`: several processes listen on the port. */
int tcp_listen(uint16_t port, bool shared);

/* The next waiting connection, non-blocking and without Nagle; -1 when there is none. */
int tcp_accept(int listener);

/* Begin to connect to 127.0.0.1:port; non-blocking, without Nagle; -1 when refused at once.
 * `source` is the last byte of the address to come from (127.0.0.source), or 0 for any: many short
 * connections need more than one address' worth of ports. */
int tcp_dial(uint16_t port, uint8_t source);

/* Tell epoll what to report of fd; `who` comes back in the event. `operation` as in epoll_ctl(). */
void tcp_watch(int epoll, int operation, int fd, uint32_t events, void *who);

/* A number from the command line, at most `most`; dies with the option's name. */
uint64_t option_number(const char *option, const char *text, uint64_t most);

#endif
