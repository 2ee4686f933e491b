/* What `sluice` does besides running. */
#include "gateway/cli.h"

#include <stdio.h>

#include "conf/reference.h"
#include "gateway/catalog.h"
#include "gateway/gateway.h"

static void say_problems(struct conf_problems *p)
{
    for (const struct conf_problem *one = p->first; one; one = one->next)
        fprintf(stderr, "%s%.*s\n", one->severity == CONF_WARNING ? "warning: " : "",
                STR_ARGS(conf_problem_text(p, one, &p->arena)));
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
