/* What `sluice` does besides running. */
#include "gateway/cli.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/reference.h"
#include "gateway/base/digest.h"
#include "gateway/base/random.h"
#include "gateway/catalog.h"
#include "gateway/gateway.h"
#include "workers/remote.h"

#define KEY_ID_LEN     6
#define KEY_SECRET_LEN 32 /* 190 bits: nobody can try them all, so a plain SHA-256 hides it */

static void say_problems(struct conf_problems *p)
{
    for (const struct conf_problem *one = p->first; one; one = one->next)
        fprintf(stderr, "%.*s\n", STR_ARGS(conf_problem_text(p, one, &p->arena)));
    if (p->errors + p->warnings > p->kept)
        fprintf(stderr, "… and %zu more\n", p->errors + p->warnings - p->kept);
}

/* The whole rehearsal of a load, in shared memory that nobody shares; `then` gets what was read well. */
static int rehearse(const char *path, void (*then)(const char *path, struct snapshot *s))
{
    struct region *r = region_new(0);
    enum build_result result = BUILD_FAILED;
    struct bundle *bundle;
    struct snapshot *s;

    region_begin(r);
    s = gateway_read(path, r, NULL, &bundle, &result);
    if (s) {
        say_problems(snapshot_problems(s));
        if (result == BUILD_DONE)
            then(path, s);
        snapshot_free(s);
    }
    region_abort(r);
    region_close(r);
    return result == BUILD_DONE && fflush(stdout) == 0 ? 0 : 1;
}

static void say_good(const char *path, struct snapshot *s)
{
    (void)s;
    printf("%s: good\n", path);
}

static void print(const char *path, struct snapshot *s)
{
    (void)path;
    conf_print(snapshot_conf_file(s), stdout);
}

/* The pid file that a configuration names, in `to`. */
static bool pid_file_of(const char *path, char *to, size_t room)
{
    struct region *r = region_new(0);
    enum build_result result = BUILD_FAILED;
    struct bundle *bundle;
    struct snapshot *s;
    struct str name = STR("");

    region_begin(r);
    s = gateway_read(path, r, NULL, &bundle, &result);
    if (s && result == BUILD_DONE)
        name = s->globals->process.pid_file;
    if (name.len > 0 && name.len < room) {
        memcpy(to, name.at, name.len);
        to[name.len] = '\0';
    } else if (result == BUILD_DONE) {
        fprintf(stderr, "%s names no process.pid_file: say which with --pid-file\n", path);
    } else if (s) {
        say_problems(snapshot_problems(s));
    }
    snapshot_free(s);
    region_abort(r);
    region_close(r);
    return name.len > 0 && name.len < room;
}

int cli_check(const char *path)
{
    return rehearse(path, say_good);
}

int cli_print(const char *path)
{
    return rehearse(path, print);
}

int cli_reference(void)
{
    conf_reference(&catalog, stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

/* Letters and digits that nobody can guess; there are 62, and of 64 chances the last two are thrown again. */
static void put_letters(char *to, size_t count)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char chance;

    for (size_t i = 0; i < count;) {
        random_secret(&chance, 1);
        if ((chance & 63) < 62)
            to[i++] = letters[chance & 63];
    }
}

static bool name_is_word(const char *name)
{
    const char *c = name;

    while ((unsigned char)*c > 0x20 && *c != 0x7f)
        c++;
    return c > name && !*c;
}

int cli_key_new(const char *name)
{
    char id[KEY_ID_LEN + 1] = { 0 }, secret[KEY_SECRET_LEN + 1] = { 0 };
    char key[KEY_ID_LEN + KEY_SECRET_LEN + 8], sha256[DIGEST_TEXT_LEN];
    struct digest d;

    if (!name_is_word(name ? name : "NAME")) {
        fprintf(stderr, "sluice: the name of a consumer is a word without blanks\n");
        return 2;
    }
    put_letters(id, KEY_ID_LEN);
    put_letters(secret, KEY_SECRET_LEN);
    snprintf(key, sizeof key, "gw_%s_%s", id, secret);
    d = digest_of(str_from(key));
    digest_write(sha256, &d);
    printf("%s\n\n"
           "# The key stands above and nowhere else. For config.yaml:\n"
           "consumers:\n"
           "  - name: ",
           key);
    conf_print_text(str_from(name ? name : "NAME"), stdout);
    printf("\n    keys:\n"
           "      - {id: \"%s\", prefix: \"gw_%s\", sha256: \"%.*s\"}\n",
           id, id, (int)sizeof sha256, sha256);
    return fflush(stdout) == 0 ? 0 : 1;
}

int cli_limits(const struct limits_wish *wish, bool watch, const char *path, const char *pid_file)
{
    char named[PATH_MAX];
    int status, fd;

    if (!pid_file && !pid_file_of(path, named, sizeof named))
        return REMOTE_FAILED;
    pid_file = pid_file ? pid_file : named;
    do {
        status = remote_memory(pid_file, &fd);
        if (status == REMOTE_OK && watch && !wish->json && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout); /* home, and everything away */
        if (status == REMOTE_OK && !limits_show(fd, wish, stdout))
            status = REMOTE_FAILED;
    } while (status == REMOTE_OK && watch && sleep(1) == 0);
    return status;
}

int cli_remote(const char *command, const char *path, const char *pid_file)
{
    char named[PATH_MAX];

    if (!pid_file && !pid_file_of(path, named, sizeof named))
        return REMOTE_FAILED;
    pid_file = pid_file ? pid_file : named;
    if (strcmp(command, "reload") == 0)
        return remote_reload(pid_file);
    if (strcmp(command, "stop") == 0)
        return remote_stop(pid_file);
    return remote_status(pid_file, stdout);
}
