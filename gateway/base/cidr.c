/* Addresses and prefixes. */
#include "gateway/base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "gateway/base/number.h"

static const uint8_t MAPPED[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void set_v4(struct ip *ip, const void *four)
{
    memcpy(ip->at, MAPPED, sizeof MAPPED);
    memcpy(ip->at + sizeof MAPPED, four, 4);
}

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->at, MAPPED, sizeof MAPPED) == 0;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return memcmp(a->at, b->at, sizeof a->at) == 0;
}

bool ip_read(struct str text, struct ip *ip)
{
    char z[INET6_ADDRSTRLEN];
    struct in_addr four;

    if (text.len >= 2 && text.at[0] == '[' && text.at[text.len - 1] == ']') {
        text = str_of(text.at + 1, text.len - 2);
        if (str_index(text, ':') == text.len)
            return false; /* brackets are for IPv6 */
    }
    if (text.len == 0 || text.len >= sizeof z || str_index(text, '\0') != text.len)
        return false;
    memcpy(z, text.at, text.len);
    z[text.len] = '\0';
    if (inet_pton(AF_INET6, z, ip->at) == 1)
        return true;
    if (inet_pton(AF_INET, z, &four) != 1)
        return false;
    set_v4(ip, &four);
    return true;
}

bool ip_of_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof v4);
        set_v4(ip, &v4.sin_addr);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(&v6, sa, sizeof v6);
        memcpy(ip->at, &v6.sin6_addr, sizeof ip->at);
        return true;
    }
    return false;
}

size_t ip_write(char *to, const struct ip *ip)
{
    char z[INET6_ADDRSTRLEN];
    size_t len = 0;

    if (ip_is_v4(ip)) {
        for (size_t i = 12; i < 16; i++) {
            if (i > 12)
                to[len++] = '.';
            len += number_write_u64(to + len, ip->at[i]);
        }
        return len;
    }
    inet_ntop(AF_INET6, ip->at, z, sizeof z);
    len = strlen(z);
    memcpy(to, z, len);
    return len;
}

/* The first `bits` of an address, the rest 0. */
static struct ip first_bits(const struct ip *ip, unsigned bits)
{
    struct ip result = { { 0 } };
    size_t whole = bits / 8;

    memcpy(result.at, ip->at, whole);
    if (bits % 8)
        result.at[whole] = (uint8_t)(ip->at[whole] & 0xff00 >> bits % 8);
    return result;
}

struct ip ip_group(const struct ip *ip, unsigned v6_bits)
{
    CHECK(v6_bits <= 128);
    return ip_is_v4(ip) ? *ip : first_bits(ip, v6_bits);
}

bool cidr_read(struct str text, struct cidr *net)
{
    struct str bits_text;
    struct str address = str_cut(text, '/', &bits_text);
    uint64_t bits = 128;
    struct ip first;
    bool v4;

    if (!ip_read(address, &net->ip))
        return false;
    v4 = str_index(address, ':') == address.len;
    if (address.len < text.len) {
        if (bits_text.len > 3 || !number_read_u64(bits_text, &bits) || bits > (v4 ? 32 : 128))
            return false;
        bits += v4 ? 96 : 0;
    }
    net->bits = (uint8_t)bits;
    first = first_bits(&net->ip, net->bits);
    return ip_equal(&first, &net->ip);
}

size_t cidr_write(char *to, const struct cidr *net)
{
    bool v4 = ip_is_v4(&net->ip) && net->bits >= 96;
    size_t len = ip_write(to, &net->ip);

    to[len++] = '/';
    return len + number_write_u64(to + len, v4 ? net->bits - 96U : net->bits);
}

bool cidr_holds(const struct cidr *net, const struct ip *ip)
{
    struct ip first;

    if (net->bits < 96 && ip_is_v4(ip))
        return false;
    first = first_bits(ip, net->bits);
    return ip_equal(&first, &net->ip);
}

bool cidr_any_holds(const struct cidr *nets, size_t count, const struct ip *ip)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_holds(&nets[i], ip))
            return true;
    return false;
}
