/* The master's listening sockets. */
#include "workers/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "workers/socket_holder.h"

/* ---- addresses ---- */

static const char *read_unix(struct str path, struct sockaddr_storage *to, socklen_t *len)
{
    struct sockaddr_un *un = (struct sockaddr_un *)to;

    if (path.len == 0)
        return "a path must follow unix:";
    if (path.len >= sizeof un->sun_path || memchr(path.at, '\0', path.len))
        return "the path is too long for a Unix socket (107 bytes)";
    *to = (struct sockaddr_storage){ .ss_family = AF_UNIX };
    memcpy(un->sun_path, path.at, path.len);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return NULL;
}

static void any_address(uint16_t port, struct sockaddr_storage *to, socklen_t *len)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

    *to = (struct sockaddr_storage){ 0 };
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    *len = sizeof *in6;
}

/* Numbers only: a name that resolves slowly, or to something else tomorrow, is no place to listen. */
static const char *read_numeric(struct str host, uint16_t port, struct sockaddr_storage *to,
                                socklen_t *len)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    char name[INET6_ADDRSTRLEN + 32];

    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = str_of(host.at + 1, host.len - 2);
    if (str_equal(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (host.len >= sizeof name)
        return "the address is too long";
    memcpy(name, host.at, host.len);
    name[host.len] = '\0';
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return "is no IP address (names are not looked up)";
    *to = (struct sockaddr_storage){ 0 };
    memcpy(to, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    if (to->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)to)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)to)->sin_port = htons(port);
    return NULL;
}

const char *listen_address_read(struct str text, struct sockaddr_storage *to, socklen_t *len)
{
    struct str host = STR_NONE, port = text;
    uint64_t number;

    if (str_starts(text, STR("unix:")))
        return read_unix(str_from_index(text, 5), to, len);
    for (size_t i = text.len; i-- > 0;)
        if (text.at[i] == ':') {
            host = str_up_to(text, i);
            port = str_from_index(text, i + 1);
            break;
        }
    if (memchr(host.at ? host.at : "", ':', host.len) && host.at[0] != '[')
        return "an IPv6 address stands in brackets: [::1]:8080";
    if (!number_read_u64(port, &number) || number > UINT16_MAX)
        return "must be a port, address:port or unix:path";
    if (host.len == 0 || str_equal(host, STR("*"))) {
        any_address((uint16_t)number, to, len);
        return NULL;
    }
    return read_numeric(host, (uint16_t)number, to, len);
}

static bool has_port_zero(const struct sockaddr_storage *sa)
{
    if (sa->ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)sa)->sin6_port == 0;
    return sa->ss_family == AF_INET && ((const struct sockaddr_in *)sa)->sin_port == 0;
}

/* ---- sockets ---- */

static void set_on(int fd, int level, int option)
{
    int on = 1;

    if (setsockopt(fd, level, option, &on, sizeof on) != 0)
        die("setsockopt");
}

static int stream_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* SO_REUSEPORT would let us bind beside another process of the same user, which would then get half of our
 * connections. So look first without it. */
static bool is_free(const struct sockaddr_storage *sa, socklen_t len)
{
    int fd = stream_socket(sa->ss_family), cause;
    bool ok;

    if (fd < 0)
        return false;
    set_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (sa->ss_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr)) {
        int off = 0;

        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    ok = bind(fd, (const struct sockaddr *)sa, len) == 0;
    cause = errno;
    close(fd);
    errno = cause;
    return ok;
}

/* One of the sockets that share an address. -1 with errno. */
static int bind_tcp(const struct sockaddr_storage *sa, socklen_t len)
{
    int fd = stream_socket(sa->ss_family), cause, off = 0;

    if (fd < 0)
        return -1;
    set_on(fd, SOL_SOCKET, SO_REUSEADDR);
    set_on(fd, SOL_SOCKET, SO_REUSEPORT);
    /* Accepted sockets inherit it: no call for each connection. */
    set_on(fd, IPPROTO_TCP, TCP_NODELAY);
    if (sa->ss_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr))
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (const struct sockaddr *)sa, len) == 0)
        return fd;
    cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

/* A file that nobody listens on any more was left by a crash. */
static bool remove_stale_file(const struct sockaddr_storage *sa, socklen_t len)
{
    const char *path = ((const struct sockaddr_un *)sa)->sun_path;
    struct stat st;
    int fd;
    bool dead;

    if (lstat(path, &st) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    fd = stream_socket(AF_UNIX);
    if (fd < 0)
        return false;
    dead = connect(fd, (const struct sockaddr *)sa, len) != 0 && errno == ECONNREFUSED;
    close(fd);
    errno = EADDRINUSE;
    return dead && unlink(path) == 0;
}

static int bind_unix(const struct sockaddr_storage *sa, socklen_t len, uint32_t mode)
{
    mode_t mask;
    int fd, cause;
    bool bound;

    if (!remove_stale_file(sa, len))
        return -1;
    fd = stream_socket(AF_UNIX);
    if (fd < 0)
        return -1;
    mask = umask(0777 & ~(mode_t)mode);
    bound = bind(fd, (const struct sockaddr *)sa, len) == 0;
    cause = errno;
    umask(mask);
    if (bound)
        return fd;
    close(fd);
    errno = cause;
    return -1;
}

/* ---- listeners ---- */

static struct listener *listener_at(struct link_node *n)
{
    return CONTAINER(n, struct listener, node);
}

static void say_why(const struct listener *l, int cause)
{
    char holder[128] = "";

    if (cause == EADDRINUSE && !l->local)
        socket_holder_name((const struct sockaddr *)&l->bound, holder, sizeof holder);
    log_line(LOG_LEVEL_ERROR, "cannot listen on %s: %s%s%s", l->address, strerror(cause),
             holder[0] ? ": it is held by " : "", holder);
}

/* Where the kernel has no IPv6, "all addresses" are those of IPv4. */
static void without_ipv6(struct listener *l)
{
    uint16_t port = ((const struct sockaddr_in6 *)&l->bound)->sin6_port;
    struct sockaddr_in *in = (struct sockaddr_in *)&l->bound;

    l->bound = (struct sockaddr_storage){ 0 };
    in->sin_family = AF_INET;
    in->sin_port = port;
    l->bound_len = sizeof *in;
}

static bool is_any_v6(const struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

static bool is_free_somehow(struct listener *l)
{
    if (is_free(&l->bound, l->bound_len))
        return true;
    if ((errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) || !is_any_v6(&l->bound))
        return false;
    without_ipv6(l);
    return is_free(&l->bound, l->bound_len);
}

static bool bind_one(struct listener *l, uint32_t i)
{
    if (i == 0 && !l->local && !is_free_somehow(l))
        return false;
    l->fds[i] = l->local ? bind_unix(&l->bound, l->bound_len, l->unix_mode)
                         : bind_tcp(&l->bound, l->bound_len);
    if (l->fds[i] < 0)
        return false;
    if (l->local) {
        struct stat st;

        if (lstat(((const struct sockaddr_un *)&l->bound)->sun_path, &st) == 0) {
            l->file_dev = st.st_dev;
            l->file_ino = st.st_ino;
        }
    }
    /* The kernel chose a port for the first: the others take the same. */
    if (has_port_zero(&l->bound)) {
        l->bound_len = sizeof l->bound;
        if (getsockname(l->fds[i], (struct sockaddr *)&l->bound, &l->bound_len) != 0)
            die("getsockname");
    }
    return true;
}

/* Sockets up to `count`. They are only ever added: see the header. */
static bool grow(struct listener *l, uint32_t count)
{
    int *fds;

    if (l->local)
        count = 1;
    if (count <= l->count)
        return true;
    fds = realloc(l->fds, count * sizeof *fds);
    if (!fds)
        die("out of memory for listeners");
    l->fds = fds;
    while (l->count < count) {
        if (!bind_one(l, l->count)) {
            say_why(l, errno);
            return false;
        }
        l->count++;
    }
    return true;
}

static struct listener *make(struct listeners *all, const struct listen_address *a)
{
    struct listener *l = calloc(1, sizeof *l + a->address.len + 1);
    const char *wrong;

    if (!l)
        die("out of memory for listeners");
    memcpy(l->address, a->address.at, a->address.len);
    link_init(&l->node);
    wrong = listen_address_read(a->address, &l->bound, &l->bound_len);
    if (wrong) {
        log_line(LOG_LEVEL_ERROR, "cannot listen on %s: %s", l->address, wrong);
        free(l);
        return NULL;
    }
    l->id = all->next_id++;
    l->local = l->bound.ss_family == AF_UNIX;
    l->backlog = a->backlog ? a->backlog : ENGINE_BACKLOG;
    l->unix_mode = a->unix_mode ? a->unix_mode : 0660;
    return l;
}

static struct listener *find(struct listeners *all, struct str address)
{
    LIST_EACH (&all->list, n) {
        if (str_equal(str_from(listener_at(n)->address), address))
            return listener_at(n);
    }
    return NULL;
}

void listeners_init(struct listeners *all)
{
    list_init(&all->list);
    all->next_id = 1;
}

static bool bind_wanted(struct listeners *all, const struct listen_address *a, uint32_t slots)
{
    struct listener *l = find(all, a->address);

    if (l && l->wanted) {
        log_line(LOG_LEVEL_ERROR, "%s is listed twice among the listeners", l->address);
        return false;
    }
    if (!l) {
        l = make(all, a);
        if (!l)
            return false;
        list_push_back(&all->list, &l->node);
    }
    l->wanted = true;
    return grow(l, slots);
}

bool listeners_bind(struct listeners *all, const struct listen_address *wanted, size_t count,
                    uint32_t slots)
{
    LIST_EACH (&all->list, n) {
        listener_at(n)->wanted = false;
    }
    for (size_t i = 0; i < count; i++)
        if (!bind_wanted(all, &wanted[i], slots)) {
            listeners_undo(all);
            return false;
        }
    return true;
}

static void close_fds(struct listener *l, uint32_t from)
{
    for (uint32_t i = from; i < l->count; i++)
        close(l->fds[i]);
    l->count = from;
}

void listeners_undo(struct listeners *all)
{
    LIST_EACH (&all->list, n) {
        struct listener *l = listener_at(n);

        if (l->listening == 0) {
            listener_close(l);
        } else {
            close_fds(l, l->listening);
            l->wanted = true;
        }
    }
}

/* Accepted sockets inherit it: a request is acknowledged by its answer, and not by a segment of its own before
 * (unless the answer takes longer than the kernel's delay, 40 ms). listen(2) sets it back, so after that. */
static void expect_answers(int fd)
{
    int off = 0;

    /* a Unix socket knows no such thing */
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
}

static bool listen_on(struct listener *l, uint32_t backlog)
{
    bool ok = true;

    /* A longer queue for a socket that listens already is one more listen(2). */
    for (uint32_t i = backlog == l->backlog ? l->listening : 0; i < l->count; i++)
        if (listen(l->fds[i], (int)backlog) != 0) {
            say_why(l, errno);
            ok = false;
        }
    for (uint32_t i = 0; i < l->count; i++)
        expect_answers(l->fds[i]);
    l->backlog = backlog;
    l->listening = l->count;
    return ok;
}

bool listeners_listen(struct listeners *all, const struct listen_address *wanted, size_t count)
{
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        struct listener *l = find(all, wanted[i].address);

        if (l && !listen_on(l, wanted[i].backlog ? wanted[i].backlog : ENGINE_BACKLOG))
            ok = false;
    }
    return ok;
}

static void remove_file(const struct listener *l)
{
    const char *path = ((const struct sockaddr_un *)&l->bound)->sun_path;
    struct stat st;

    if (l->count > 0 && lstat(path, &st) == 0 && st.st_dev == l->file_dev &&
        st.st_ino == l->file_ino)
        unlink(path);
}

static void end(struct listener *l)
{
    close_fds(l, 0);
    free(l->fds);
    link_remove(&l->node);
    free(l);
}

void listener_close(struct listener *l)
{
    if (l->local)
        remove_file(l);
    end(l);
}

void listeners_end(struct listeners *all, bool keep_files)
{
    LIST_EACH (&all->list, n) {
        if (keep_files)
            end(listener_at(n));
        else
            listener_close(listener_at(n));
    }
}
