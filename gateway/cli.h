/* What `sluice` does besides running: check, print, reference, and words to a gateway that runs. */
#ifndef GATEWAY_CLI_H
#define GATEWAY_CLI_H

#include "gateway/limits.h"

#define CLI_DEFAULT_CONFIG "config.yaml"

/* All return the exit status: 0 well, 1 not. */
int cli_check(const char *path);
int cli_print(const char *path);
int cli_reference(void);
/* A fresh key, and the lines of config.yaml that make it one of the consumer `name` (NULL: to be filled in). */
int cli_key_new(const char *name);
/* reload, stop, status: to the gateway whose pid file it is; pid_file NULL: the one that the configuration names. */
int cli_remote(const char *command, const char *path, const char *pid_file);
/* Whom its limits refuse and take. `watch`: again each second, until it ends. */
int cli_limits(const struct limits_wish *wish, bool watch, const char *path, const char *pid_file);

#endif
