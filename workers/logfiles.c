/* Log files. */
#include "workers/logfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/log.h"

int logfile_open(const char *path)
{
    /* O_NONBLOCK: a pipe without a reader must not hold the master up. */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static int standard_stream(struct str path)
{
    if (str_equal(path, STR("-")) || str_equal(path, STR("stdout")))
        return STDOUT_FILENO;
    return str_equal(path, STR("stderr")) ? STDERR_FILENO : -1;
}

static struct logfile *find(struct logfiles *all, struct str path)
{
    LIST_EACH (&all->list, n) {
        if (str_equal(str_from(logfile_at(n)->path), path))
            return logfile_at(n);
    }
    return NULL;
}

static struct logfile *make(struct str path)
{
    struct logfile *f = calloc(1, sizeof *f + path.len + 1);

    if (!f)
        die("out of memory for log files");
    memcpy(f->path, path.at, path.len);
    link_init(&f->node);
    f->fresh = true;
    f->fd = standard_stream(path);
    f->borrowed = f->fd >= 0;
    if (!f->borrowed)
        f->fd = logfile_open(f->path);
    if (f->fd >= 0)
        return f;
    log_line(LOG_LEVEL_ERROR, "cannot open the log %s: %s", f->path, strerror(errno));
    free(f);
    return NULL;
}

static void end(struct logfile *f)
{
    if (!f->borrowed)
        close(f->fd);
    link_remove(&f->node);
    free(f);
}

void logfiles_init(struct logfiles *all)
{
    list_init(&all->list);
}

bool logfiles_open(struct logfiles *all, const struct str *paths, size_t count)
{
    LIST_EACH (&all->list, n) {
        logfile_at(n)->wanted = false;
    }
    for (size_t i = 0; i < count; i++) {
        struct logfile *f = find(all, paths[i]);

        if (!f) {
            f = make(paths[i]);
            if (!f) {
                logfiles_undo(all);
                return false;
            }
            list_push_back(&all->list, &f->node);
        }
        f->wanted = true;
    }
    return true;
}

void logfiles_keep(struct logfiles *all, void (*gone)(void *who, const struct logfile *f),
                   void *who)
{
    LIST_EACH (&all->list, n) {
        struct logfile *f = logfile_at(n);

        f->fresh = false;
        if (!f->wanted) {
            gone(who, f);
            end(f);
        }
    }
}

void logfiles_undo(struct logfiles *all)
{
    LIST_EACH (&all->list, n) {
        if (logfile_at(n)->fresh)
            end(logfile_at(n));
        else
            logfile_at(n)->wanted = true;
    }
}

void logfiles_reopen(struct logfiles *all)
{
    LIST_EACH (&all->list, n) {
        struct logfile *f = logfile_at(n);
        int fd = f->borrowed ? -1 : logfile_open(f->path);

        if (fd >= 0) {
            close(f->fd);
            f->fd = fd;
        } else if (!f->borrowed) {
            log_line(LOG_LEVEL_ERROR, "cannot open the log %s anew: %s", f->path, strerror(errno));
        }
    }
}

void logfiles_end(struct logfiles *all)
{
    LIST_EACH (&all->list, n) {
        end(logfile_at(n));
    }
}
