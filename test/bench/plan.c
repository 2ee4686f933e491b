/* The command line of load, made into one request and the way to ask it. */
#include "test/bench/plan.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/check.h"
#include "test/bench/tcp.h"

/* The request in one piece; '%' in the path becomes a number of five digits. */
static void make_request(struct plan *p, const char *path, const char *headers)
{
    const char *percent = strchr(path, '%');
    char *head;
    int n = asprintf(&head,
                     "%s %.*s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: load/1\r\n"
                     "Accept: */*\r\n%s%s",
                     p->post > 0 ? "POST" : "GET",
                     (int)(percent == NULL ? strlen(path) : (size_t)(percent - path)), path,
                     percent == NULL ? "" : "00000", percent == NULL ? "" : percent + 1, p->port,
                     headers, p->oneshot ? "Connection: close\r\n" : "");

    if (n < 0)
        die("out of memory");
    p->request = malloc((size_t)n + 64 + p->post);
    if (p->request == NULL)
        die("out of memory");
    memcpy(p->request, head, (size_t)n);
    if (p->post > 0)
        n += snprintf(p->request + n, 60, "Content-Length: %zu\r\n", p->post);
    memcpy(p->request + n, "\r\n", 2);
    memset(p->request + n + 2, 'x', p->post);
    p->request_len = (size_t)n + 2 + p->post;
    if (percent != NULL)
        p->digits_at = strlen(p->post > 0 ? "POST " : "GET ") + (size_t)(percent - path);
    free(head);
}

static void add_pids(struct plan *p, const char *list)
{
    char *copy = strdup(list), *rest = copy;

    if (copy == NULL)
        die("out of memory");
    for (char *one; (one = strsep(&rest, ",")) != NULL;) {
        if (p->pids == PIDS_MOST)
            die("more than %d processes", PIDS_MOST);
        p->pid[p->pids++] = (pid_t)option_number("--cpu", one, INT32_MAX);
    }
    free(copy);
}

static void usage(void)
{
    fputs("load --port N [--path /x] [--connections 64] [--threads 1] [--warm MS] [--run MS]\n"
          "     [--rate N | --oneshot | --idle] [--status 200] [--post BYTES] [--paths N]\n"
          "     [--header 'Name: value']... [--cpu PID,PID] [--pin]\n",
          stderr);
    exit(2);
}

void plan_read(struct plan *p, int argc, char **argv)
{
    static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                                             { "path", required_argument, NULL, 'u' },
                                             { "threads", required_argument, NULL, 't' },
                                             { "connections", required_argument, NULL, 'c' },
                                             { "warm", required_argument, NULL, 'w' },
                                             { "run", required_argument, NULL, 'd' },
                                             { "rate", required_argument, NULL, 'r' },
                                             { "oneshot", no_argument, NULL, 'o' },
                                             { "idle", no_argument, NULL, 'i' },
                                             { "status", required_argument, NULL, 's' },
                                             { "post", required_argument, NULL, 'b' },
                                             { "paths", required_argument, NULL, 'n' },
                                             { "header", required_argument, NULL, 'H' },
                                             { "cpu", required_argument, NULL, 'C' },
                                             { "pin", no_argument, NULL, 'P' },
                                             { NULL, 0, NULL, 0 } };
    const char *path = "/1k";
    char *headers = strdup("");

    *p = (struct plan){
        .connections = 64,
        .threads = 1,
        .warm_ns = 200 * NS_PER_MS,
        .run_ns = NS_PER_S,
        .expected = 200,
        .paths = 1,
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char *longer;

        switch (c) {
        case 'p':
            p->port = (uint16_t)option_number("--port", optarg, UINT16_MAX);
            break;
        case 'u':
            path = optarg;
            break;
        case 't':
            p->threads = (uint32_t)option_number("--threads", optarg, THREADS_MOST);
            break;
        case 'c':
            p->connections = (uint32_t)option_number("--connections", optarg, 1 << 20);
            break;
        case 'w':
            p->warm_ns = option_number("--warm", optarg, 3600000) * NS_PER_MS;
            break;
        case 'd':
            p->run_ns = option_number("--run", optarg, 3600000) * NS_PER_MS;
            break;
        case 'r':
            p->rate = (double)option_number("--rate", optarg, 10000000);
            break;
        case 'o':
            p->oneshot = true;
            break;
        case 'i':
            p->idle = true;
            break;
        case 's':
            p->expected = (int)option_number("--status", optarg, STATUS_MOST - 1);
            break;
        case 'b':
            p->post = option_number("--post", optarg, 1 << 30);
            break;
        case 'n':
            p->paths = (uint32_t)option_number("--paths", optarg, 100000);
            break;
        case 'C':
            add_pids(p, optarg);
            break;
        case 'P':
            p->pin = true;
            break;
        case 'H':
            if (headers == NULL || asprintf(&longer, "%s%s\r\n", headers, optarg) < 0)
                die("out of memory");
            free(headers);
            headers = longer;
            break;
        default:
            usage();
        }
    }
    if (p->port == 0 || p->threads == 0 || p->connections < p->threads || p->paths == 0)
        usage();
    make_request(p, path, headers);
    free(headers);
}
