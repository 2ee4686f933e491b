/* In the place of the system's resolver (LD_PRELOAD): what a name under ".test" is says the file $NAMES, at each call anew:
 * "here" 127.0.0.1, "away" no name server answers, "slow" the same after a while, "gone" there is no such name.
 * Who was asked about is written to $NAMES.asked, a line each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static void note(const char *path, const char *host)
{
    char name[4096];
    FILE *f;

    snprintf(name, sizeof name, "%s.asked", path);
    f = fopen(name, "a");
    if (f) {
        fprintf(f, "%s\n", host);
        fclose(f);
    }
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **found)
{
    resolver *theirs = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("NAMES"), *end = host ? strrchr(host, '.') : NULL;
    const struct timespec a_while = { 1, 600000000 };
    char word[16] = "";
    FILE *f;

    if (!path || !end || strcmp(end, ".test") != 0)
        return theirs(host, port, hints, found);
    note(path, host);
    f = fopen(path, "r");
    if (f) {
        if (fscanf(f, "%15s", word) != 1)
            word[0] = '\0';
        fclose(f);
    }
    if (strcmp(word, "here") == 0)
        return theirs("127.0.0.1", port, hints, found);
    if (strcmp(word, "slow") == 0)
        nanosleep(&a_while, NULL);
    return strcmp(word, "gone") == 0 ? EAI_NONAME : EAI_AGAIN;
}
