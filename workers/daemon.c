/* Going to the background. */
#include "workers/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The pipe's end of file is failure: the one that was to be READY has ended. */
NORETURN static void wait_and_exit(int fd, pid_t between)
{
    char status = 1;
    ssize_t n;

    do
        n = read(fd, &status, 1);
    while (n < 0 && errno == EINTR);
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        continue;
    _exit(n == 1 ? status : 1);
}

int daemon_begin(void)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0) {
        close(ends[1]);
        wait_and_exit(ends[0], pid);
    }
    close(ends[0]);
    if (setsid() < 0)
        die("setsid");
    pid = fork(); /* not the leader of the session any more: it can never get a terminal again */
    if (pid < 0)
        die("fork");
    if (pid > 0)
        _exit(0);
    return ends[1];
}

void daemon_ready(int fd, bool keep_stderr)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        die("/dev/null");
    for (int i = 0; i <= (keep_stderr ? STDOUT_FILENO : STDERR_FILENO); i++)
        if (dup2(null, i) < 0)
            die("dup2");
    if (null > STDERR_FILENO)
        close(null);
    if (write(fd, "", 1) != 1) {
        /* Whoever waited has been killed; nobody minds. */
    }
    close(fd);
}
