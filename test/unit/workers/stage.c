/* A master with its children on a stage of its own. */
#include "test/unit/workers/stage.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/unit/workers/echo_program.h"
#include "workers/master.h"

static uint16_t free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&in, len) == 0);
    ck_assert(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
    close(fd);
    return ntohs(in.sin_port);
}

void stage_open(struct stage *s)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    char path[128];

    *s = (struct stage){ .master = -1, .port = free_port() };
    do
        s->other_port = free_port();
    while (s->other_port == s->port);
    snprintf(s->dir, sizeof s->dir, "/tmp/sluice-stage-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    ck_assert(chmod(s->dir, 0755) == 0);
    snprintf(s->config, sizeof s->config, "%s/config", s->dir);
    snprintf(un.sun_path, sizeof un.sun_path, "%s/notify", s->dir);
    s->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert(s->notify >= 0 && bind(s->notify, (struct sockaddr *)&un, sizeof un) == 0);
    ck_assert(chmod(un.sun_path, 0777) == 0);
    ck_assert(setenv("NOTIFY_SOCKET", un.sun_path, 1) == 0);
    snprintf(path, sizeof path, "%s/stderr", s->dir);
    s->log = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ck_assert(s->log >= 0);
}

void stage_config(struct stage *s, const char *text)
{
    char temporary[128];
    FILE *f;

    snprintf(temporary, sizeof temporary, "%s.new", s->config);
    f = fopen(temporary, "w");
    ck_assert_ptr_nonnull(f);
    for (; *text; text++) {
        if (*text != '%')
            fputc(*text, f);
        else if (*++text == 'P')
            fprintf(f, "%u", s->port);
        else if (*text == 'Q')
            fprintf(f, "%u", s->other_port);
        else
            fputs(s->dir, f);
    }
    ck_assert(fclose(f) == 0 && rename(temporary, s->config) == 0);
}

void stage_launch(struct stage *s, const char *pid_file, bool daemon)
{
    s->master = fork();
    ck_assert(s->master >= 0);
    if (s->master == 0) {
        struct master_options o = { .path = s->config, .pid_file = pid_file, .daemon = daemon };

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(s->log, STDERR_FILENO);
        exit(master_run(&echo_program, &o));
    }
}

void stage_start(struct stage *s)
{
    stage_launch(s, NULL, false);
    stage_hear(s, "READY=1");
}

const char *stage_hear(struct stage *s, const char *text)
{
    for (;;) {
        char *at = strstr(s->heard, text);
        size_t len = strlen(s->heard);
        struct pollfd p = { .fd = s->notify, .events = POLLIN };
        ssize_t n;

        if (at) {
            at += strlen(text);
            memmove(s->heard, at, strlen(at) + 1);
            return s->heard;
        }
        ck_assert_msg(poll(&p, 1, STAGE_PATIENCE_MS) == 1, "not heard: %s", text);
        ck_assert(len + 1024 < sizeof s->heard);
        n = recv(s->notify, s->heard + len, 1000, 0);
        ck_assert(n >= 0);
        memcpy(s->heard + len + n, "\n", 2);
    }
}

void stage_signal(struct stage *s, int signal)
{
    ck_assert(kill(s->master, signal) == 0);
}

bool stage_reload(struct stage *s, const char *config)
{
    const char *status;

    stage_config(s, config);
    stage_signal(s, SIGHUP);
    stage_hear(s, "RELOADING=1");
    status = stage_hear(s, "READY=1\nSTATUS=");
    return strstr(status, "refused") == NULL;
}

int stage_wait(struct stage *s)
{
    int status;

    process_gone(s->master);
    ck_assert(waitpid(s->master, &status, 0) == s->master);
    s->master = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool stage_logged(struct stage *s, const char *text)
{
    static char all[1 << 20];
    ssize_t n = pread(s->log, all, sizeof all - 1, 0);

    ck_assert(n >= 0);
    all[n] = '\0';
    return strstr(all, text) != NULL;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void stage_close(struct stage *s)
{
    if (s->master > 0) {
        kill(s->master, SIGTERM);
        kill(s->master, SIGTERM); /* now */
        stage_wait(s);
    }
    ck_assert_msg(!stage_logged(s, "Sanitizer"), "see the log of the children");
    close(s->notify);
    close(s->log);
    nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- clients ---- */

static void be_bounded(int fd)
{
    struct timeval t = { .tv_sec = STAGE_PATIENCE_MS / 1000 };

    ck_assert(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
    ck_assert(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0);
}

int client_try(uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), cause;

    ck_assert(fd >= 0);
    be_bounded(fd);
    if (connect(fd, (struct sockaddr *)&in, sizeof in) == 0)
        return fd;
    cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

int client_connect(uint16_t port)
{
    int fd = client_try(port);

    ck_assert_msg(fd >= 0, "cannot connect: %s", strerror(errno));
    return fd;
}

int client_connect_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert(fd >= 0 && strlen(path) < sizeof un.sun_path);
    memcpy(un.sun_path, path, strlen(path) + 1);
    be_bounded(fd);
    ck_assert_msg(connect(fd, (struct sockaddr *)&un, sizeof un) == 0, "%s: %s", path,
                  strerror(errno));
    return fd;
}

void client_send(int fd, const char *text)
{
    ck_assert(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

const char *client_line(int fd)
{
    static char line[8192];
    size_t len = 0;

    while (len < sizeof line - 1) {
        ssize_t n = recv(fd, line + len, 1, 0);

        if (n < 0 && errno == EINTR)
            continue;
        ck_assert_msg(n >= 0 || errno == ECONNRESET, "no answer: %s", strerror(errno));
        if (n <= 0 || line[len] == '\n')
            break;
        len++;
    }
    line[len] = '\0';
    return line;
}

const char *client_ask(int fd, const char *line)
{
    client_send(fd, line);
    client_send(fd, "\n");
    return client_line(fd);
}

struct who client_who(int fd)
{
    struct who w = { 0 };
    const char *line = client_ask(fd, "who");

    ck_assert_msg(sscanf(line, "%d %u %llu %63s", &w.pid, &w.slot, &w.generation, w.greeting) >= 3,
                  "'%s' is no answer", line);
    return w;
}

void clients_of_all(uint16_t port, int *fds, unsigned n)
{
    time_t begun = time(NULL);
    unsigned met = 0;

    for (unsigned i = 0; i < n; i++)
        fds[i] = -1;
    while (met < n) {
        int fd = client_connect(port);
        unsigned slot = client_who(fd).slot;

        ck_assert_msg(time(NULL) - begun <= STAGE_PATIENCE_MS / 1000,
                      "some workers get no connections");
        if (slot < n && fds[slot] < 0) {
            fds[slot] = fd;
            met++;
        } else {
            close(fd);
        }
    }
}

void process_gone(int pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };

    if (fd < 0) {
        ck_assert_int_eq(errno, ESRCH);
        return;
    }
    ck_assert_msg(poll(&p, 1, STAGE_PATIENCE_MS) == 1, "process %d lives on", pid);
    close(fd);
}
