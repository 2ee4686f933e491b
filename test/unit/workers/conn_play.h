/* A conn, its owner and the other end: what the tests of conns play with. Each test runs in a process of its own. */
#ifndef TEST_UNIT_WORKERS_CONN_PLAY_H
#define TEST_UNIT_WORKERS_CONN_PLAY_H

#include <netinet/in.h>
#include <stdbool.h>

#include "workers/conn.h"

/* Whoever owns the conn, and the other end. */
struct play {
    struct loop l;
    struct pool pool;
    struct conn *c;
    int peer;
    int listener;
    /* what was told */
    unsigned opens, bytes_told, rooms, brokens, dues, ends_told;
    int error;
    bool hung_up_told;
    /* what it does */
    size_t consume_most; /* at each on_bytes; 0: nothing */
    size_t pause_every;  /* pauses after so many on_bytes; 0: never */
    bool close_on_end;
    char *in;
    size_t in_len;
};

extern struct play play;
extern const struct conn_events play_events;

void not_blocking(int fd);
/* Nothing is connected yet. */
void begin(void);
/* Give the play a listener. */
struct sockaddr_in listen_somewhere(void);
/* An accepted connection of this kind. */
void begin_with(bool tcp);
void turns(int n);
/* The end: nothing is left. */
void finish(void);

/* The other end speaks. */
void say(const char *text);
/* What it can read now, up to `room`; *ended: its end. */
size_t hear(char *to, size_t room, bool *ended);

char noise_at(size_t i);
/* Malloced. */
char *noise(size_t len);

#endif
