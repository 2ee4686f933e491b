/* The operations of a plain stream socket, for conns that nothing else was put under. */
#ifndef WORKERS_PLAIN_IO_H
#define WORKERS_PLAIN_IO_H

#include "workers/conn.h"

extern const struct conn_io plain_io;

#endif
