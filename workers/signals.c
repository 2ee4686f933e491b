/* What each signal means to the master. */
#include "workers/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const struct {
    int number;
    enum order order;
    const char *name;
} meanings[] = {
    { SIGHUP, ORDER_RELOAD, "SIGHUP" },   { SIGTERM, ORDER_STOP, "SIGTERM" },
    { SIGINT, ORDER_STOP, "SIGINT" },     { SIGQUIT, ORDER_STOP, "SIGQUIT" },
    { SIGUSR1, ORDER_REOPEN, "SIGUSR1" }, { SIGUSR2, ORDER_UPGRADE, "SIGUSR2" },
    { SIGCHLD, ORDER_CHILD, "SIGCHLD" },
};

static sigset_t all_of_them(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        sigaddset(&set, meanings[i].number);
    return set;
}

int signals_open(void)
{
    sigset_t set = all_of_them();
    int fd;

    /* An ignored signal (nohup, a shell's background job) would never reach the descriptor. */
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        signal(meanings[i].number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    /* A log as large as a file may be is a full disk, and no reason to die. */
    signal(SIGXFSZ, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        die("sigprocmask");
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd");
    return fd;
}

bool signals_next(int fd, enum order *order, const char **name)
{
    struct signalfd_siginfo info;
    ssize_t n;

    do
        n = read(fd, &info, sizeof info);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof info)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        if (info.ssi_signo == (uint32_t)meanings[i].number) {
            *order = meanings[i].order;
            *name = meanings[i].name;
            return true;
        }
    UNREACHABLE();
}

void signals_leave(void)
{
    sigset_t set = all_of_them();

    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        signal(meanings[i].number, meanings[i].number == SIGCHLD ? SIG_DFL : SIG_IGN);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
