/* sluice: options, then the master. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/cli.h"
#include "gateway/gateway.h"
#include "workers/master.h"
#include "workers/remote.h"
#include "workers/title.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "0.0.0"
#endif

static const char usage[] =
    "usage: sluice [--daemon] [--pid-file FILE] [config.yaml]   run the gateway\n"
    "       sluice check [config.yaml]                          is the configuration good?\n"
    "       sluice print [config.yaml]                          the values in effect, secrets "
    "hidden\n"
    "       sluice reference                                    every configuration key, as "
    "Markdown\n"
    "       sluice reload|stop|status [--pid-file FILE] [config.yaml]\n"
    "                                                           speak to a running gateway\n"
    "       sluice limits [--by refused|taken] [--top N] [--limit NAME] [--json] [--watch]\n"
    "                     [--pid-file FILE] [config.yaml]       whom its limits refuse and take\n"
    "       sluice key new [--name CONSUMER]                    a fresh key, and its lines for the "
    "configuration\n"
    "       sluice --version | --help\n"
    "\n"
    "The configuration is config.yaml in the current directory unless named.\n";

enum flag {
    OPTION_DAEMON = 'd',
    OPTION_PID_FILE = 'p',
    OPTION_VERSION = 'v',
    OPTION_HELP = 'h',
    OPTION_BY = 'b',
    OPTION_TOP = 't',
    OPTION_LIMIT = 'l',
    OPTION_JSON = 'j',
    OPTION_WATCH = 'w',
    OPTION_NAME = 'n'
};

static const struct option options[] = {
    { "daemon", no_argument, NULL, OPTION_DAEMON },
    { "pid-file", required_argument, NULL, OPTION_PID_FILE },
    { "version", no_argument, NULL, OPTION_VERSION },
    { "help", no_argument, NULL, OPTION_HELP },
    { "by", required_argument, NULL, OPTION_BY },
    { "top", required_argument, NULL, OPTION_TOP },
    { "limit", required_argument, NULL, OPTION_LIMIT },
    { "json", no_argument, NULL, OPTION_JSON },
    { "watch", no_argument, NULL, OPTION_WATCH },
    { "name", required_argument, NULL, OPTION_NAME },
    { NULL, 0, NULL, 0 },
};

struct wishes {
    const char *command; /* NULL: run */
    const char *path;
    const char *pid_file;
    bool daemon;
    struct limits_wish limits;
    bool watch;
    const char *name; /* of a consumer */
    int status;       /* what to end with at once; -1: go on */
};

static bool is_command(const char *word)
{
    static const char *const commands[] = { "check", "print",  "reference", "reload",
                                            "stop",  "status", "limits",    "key" };

    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i], word) == 0)
            return true;
    return false;
}

static bool read_kind(struct str word, enum top_kind *kind)
{
    *kind = str_equal(word, STR("taken")) ? TOP_TAKEN : TOP_REFUSED;
    return *kind == TOP_TAKEN || str_equal(word, STR("refused"));
}

static bool read_top(struct str word, size_t *top)
{
    uint64_t n;

    if (!number_read_u64(word, &n) || n == 0 || n > LIMITS_TOP_MAX)
        return false;
    *top = n;
    return true;
}

static void refuse(struct wishes *w, const char *option)
{
    fprintf(stderr, "sluice: --%s cannot be \"%s\"\n", option, optarg);
    w->status = 2;
}

static struct wishes read_arguments(int argc, char **argv)
{
    struct wishes w = { .path = CLI_DEFAULT_CONFIG, .limits = { .top = 10 }, .status = -1 };

    for (;;) {
        switch (getopt_long(argc, argv, "", options, NULL)) {
        case OPTION_DAEMON:
            w.daemon = true;
            continue;
        case OPTION_PID_FILE:
            w.pid_file = optarg;
            continue;
        case OPTION_BY:
            if (!read_kind(str_from(optarg), &w.limits.by))
                refuse(&w, "by");
            continue;
        case OPTION_TOP:
            if (!read_top(str_from(optarg), &w.limits.top))
                refuse(&w, "top");
            continue;
        case OPTION_LIMIT:
            w.limits.limit = str_from(optarg);
            continue;
        case OPTION_JSON:
            w.limits.json = true;
            continue;
        case OPTION_WATCH:
            w.watch = true;
            continue;
        case OPTION_NAME:
            w.name = optarg;
            continue;
        case OPTION_VERSION:
            printf("sluice %s\n", SLUICE_VERSION);
            w.status = 0;
            return w;
        case OPTION_HELP:
            fputs(usage, stdout);
            w.status = 0;
            return w;
        case -1:
            break;
        default:
            fputs(usage, stderr);
            w.status = 2;
            return w;
        }
        break;
    }
    if (optind < argc && is_command(argv[optind]))
        w.command = argv[optind++];
    if (w.command && strcmp(w.command, "key") == 0) {
        if (optind >= argc || strcmp(argv[optind++], "new") != 0)
            optind = argc + 1;
    } else if (optind < argc) {
        w.path = argv[optind++];
    }
    if (optind < argc) {
        fprintf(stderr, "sluice: too many arguments: %s\n%s", argv[optind], usage);
        w.status = 2;
    } else if (optind > argc) {
        fprintf(stderr, "sluice: key what? \"key new\"\n%s", usage);
        w.status = 2;
    }
    return w;
}

static int obey(const struct wishes *w)
{
    if (strcmp(w->command, "check") == 0)
        return cli_check(w->path);
    if (strcmp(w->command, "print") == 0)
        return cli_print(w->path);
    if (strcmp(w->command, "reference") == 0)
        return cli_reference();
    if (strcmp(w->command, "key") == 0)
        return cli_key_new(w->name);
    if (strcmp(w->command, "limits") == 0)
        return cli_limits(&w->limits, w->watch, w->path, w->pid_file);
    return cli_remote(w->command, w->path, w->pid_file);
}

static int run(const struct wishes *w, struct title *title)
{
    struct gateway_program program;
    /* titles take the place of argv */
    char *path = strdup(w->path), *pid_file = w->pid_file ? strdup(w->pid_file) : NULL;
    struct master_options how = {
        .path = path, .daemon = w->daemon, .pid_file = pid_file, .title = title
    };
    int status;

    gateway_program_init(&program);
    status = master_run(&program.program, &how);
    gateway_program_end(&program);
    free(path);
    free(pid_file);
    return status;
}

int main(int argc, char **argv)
{
    struct title title = title_claim(argc, argv);
    struct wishes w = read_arguments(argc, argv);

    if (w.status >= 0)
        return w.status;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return w.command ? obey(&w) : run(&w, &title);
}
