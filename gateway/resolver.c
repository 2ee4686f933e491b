/* Names of hosts, asked of the system by a child. */
#include "gateway/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"

#define NAME_MAX_BYTES 255
#define ENOUGH_FOR_ONE (100 * NS_PER_MS)

/* An answer is never empty, so that it is not taken for the end. */
struct answer {
    bool told; /* by a name server or a file of the system's: even that there is no such name */
    uint32_t count;
    struct ip ips[RESOLVER_ADDRESSES];
};

/* ---- the child -------------------------------------------------------------------------------- */

static void look_up(const char *host, struct answer *to)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found, *a;
    int error = getaddrinfo(host, NULL, &hints, &found);

    memset(to, 0, sizeof *to);
    to->told = error == 0 || error == EAI_NONAME || error == EAI_NODATA;
    if (error != 0)
        return;
    for (a = found; a && to->count < RESOLVER_ADDRESSES; a = a->ai_next)
        if (ip_of_sockaddr(a->ai_addr, &to->ips[to->count]))
            to->count++;
    freeaddrinfo(found);
}

static _Noreturn void serve(int fd)
{
    char host[NAME_MAX_BYTES + 1];
    struct answer answer;
    ssize_t len;

    while ((len = recv(fd, host, sizeof host - 1, 0)) > 0) {
        host[len] = '\0';
        look_up(host, &answer);
        if (send(fd, &answer, sizeof answer, MSG_NOSIGNAL) < 0)
            break;
    }
    _exit(0);
}

/* ---- the master ------------------------------------------------------------------------------- */

void resolver_init(struct resolver *r, uint64_t patience_ns)
{
    *r = (struct resolver){ .fd = -1, .patience_ns = patience_ns };
}

static bool begin(struct resolver *r)
{
    int pair[2];
    pid_t master = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    r->pid = fork();
    if (r->pid == 0) {
        /* What the master has open is open here too: not for longer than it lives. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != master)
            _exit(0);
        close(pair[0]);
        serve(pair[1]);
    }
    close(pair[1]);
    if (r->pid < 0) {
        r->pid = 0;
        close(pair[0]);
        return false;
    }
    r->fd = pair[0];
    return true;
}

void resolver_end(struct resolver *r)
{
    if (r->pid == 0)
        return;
    close(r->fd);
    kill(r->pid, SIGKILL);
    while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    resolver_init(r, r->patience_ns);
}

/* An answer comes within half of what is left of the patience: one name is not to use up that of all. */
static bool await(struct resolver *r)
{
    uint64_t begun_ns = clock_now_ns(), until_ns = begun_ns + r->patience_ns / 2, now_ns = begun_ns;
    struct pollfd p = { .fd = r->fd, .events = POLLIN };
    int ready = -1;

    while (ready < 0 && now_ns < until_ns) {
        ready = poll(&p, 1, (int)((until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS));
        now_ns = clock_now_ns();
        if (ready < 0 && errno != EINTR)
            break;
    }
    if (ready <= 0 || now_ns - begun_ns >= ENOUGH_FOR_ONE) /* ten thousand quick ones are welcome */
        r->patience_ns -= now_ns - begun_ns < r->patience_ns ? now_ns - begun_ns : r->patience_ns;
    return ready > 0;
}

bool resolver_ask(struct resolver *r, struct str host, struct ip *ips, size_t room, size_t *count)
{
    struct answer answer;

    *count = 0;
    if (r->patience_ns < ENOUGH_FOR_ONE || host.len == 0 || host.len > NAME_MAX_BYTES)
        return false;
    if ((r->pid == 0 && !begin(r)) || send(r->fd, host.at, host.len, MSG_NOSIGNAL) < 0 ||
        !await(r) || recv(r->fd, &answer, sizeof answer, 0) != sizeof answer) {
        resolver_end(r); /* it may still be at it */
        log_line(LOG_LEVEL_WARN, "no answer in time about the name %.*s%s", STR_ARGS(host),
                 r->patience_ns < ENOUGH_FOR_ONE ? "; no more names are asked for now" : "");
        return false;
    }
    *count = answer.count < room ? answer.count : room;
    memcpy(ips, answer.ips, *count * sizeof *ips);
    return answer.told;
}
