/* What a fuzzer once found, again: runs LLVMFuzzerTestOneInput over files and folders of inputs, so
 * that a corpus is part of `make test` without libFuzzer.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    long end;

    if (!f || fseek(f, 0, SEEK_END) || (end = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(1);
    }

    /* Exactly as long as the input, so that a read past its end is seen. */
    size_t len = (size_t)end;
    uint8_t *data = malloc(len ? len : 1);

    if (!data || fread(data, 1, len, f) != len) {
        fprintf(stderr, "replay: %s: cannot be read\n", path);
        exit(1);
    }
    fclose(f);
    fprintf(stderr, "replay: %s\n", path);
    LLVMFuzzerTestOneInput(data, len);
    free(data);
    return 1;
}

static unsigned replay(const char *path)
{
    DIR *folder = opendir(path);
    unsigned n = 0;

    if (!folder)
        return replay_file(path);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        char inside[4096];

        if (e->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, e->d_name);
        n += replay(inside);
    }
    closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = 0;

    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    printf("%u inputs replayed\n", n);
    return n ? 0 : 1;
}
