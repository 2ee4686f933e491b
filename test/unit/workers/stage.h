/* A master with its children on a stage of its own: a directory, a configuration, and a socket on which it
 * tells when it is READY, so that tests wait for events and never for time to pass.
 */
#ifndef TEST_UNIT_WORKERS_STAGE_H
#define TEST_UNIT_WORKERS_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stage {
    char dir[64];
    char config[96];
    int notify; /* what the master and the program tell           */
    int log;    /* the master's standard error, for reading       */
    pid_t master;
    uint16_t port, other_port; /* free ones                                      */
    char heard[65536];         /* notifications so far that nobody waited for    */
};

/* Waits longer than this fail the test. */
#define STAGE_PATIENCE_MS 20000

void stage_open(struct stage *s);
/* Write the configuration; %P and %Q become the two ports, %D the directory. */
void stage_config(struct stage *s, const char *text);
/* Start a master and wait until it is READY. */
void stage_start(struct stage *s);
/* Start one without waiting. `pid_file` and `daemon` as in master_options. */
void stage_launch(struct stage *s, const char *pid_file, bool daemon);
/* Wait until a notification contains `text`; those before it are forgotten. Returns what stands behind it. */
const char *stage_hear(struct stage *s, const char *text);
void stage_signal(struct stage *s, int signal);
/* A reload, waited for until it has been taken or refused. Returns whether it was taken. */
bool stage_reload(struct stage *s, const char *config);
/* Wait for the end of the master; its exit status, or -1 if it was killed. */
int stage_wait(struct stage *s);
/* Has the log this text by now? */
bool stage_logged(struct stage *s, const char *text);
/* End everything that is left; the directory goes. */
void stage_close(struct stage *s);

/* ---- clients: blocking sockets with a bound ---- */

int client_connect(uint16_t port);
/* -1 with errno. */
int client_try(uint16_t port);
int client_connect_unix(const char *path);
void client_send(int fd, const char *text);
/* One line without its end; an empty text when the connection has been closed. Static memory. */
const char *client_line(int fd);
const char *client_ask(int fd, const char *line);

struct who {
    int pid;
    unsigned slot;
    unsigned long long generation;
    char greeting[64];
};
struct who client_who(int fd);
/* Connections to each of `n` workers, by slot: connect until all were met. */
void clients_of_all(uint16_t port, int *fds, unsigned n);
/* Wait for the end of a process that is not our child. */
void process_gone(int pid);

#endif
