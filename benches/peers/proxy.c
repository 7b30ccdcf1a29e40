/* A TCP proxy that makes the way longer:
 *
 *     proxy PORT RTT [CONNECT_RTT]
 *
 * It listens on a free port of 127.0.0.1, prints its number, and passes everything on to PORT, in both directions, half
 * of RTT (microseconds) later, in order and with no limit of bandwidth. A connection is accepted at once and opened to
 * the server at once; if CONNECT_RTT is 1, the server sees it one and a half RTT later, as after a real handshake. It
 * ends with whoever started it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_PAIRS 64
#define PIECE (256 * 1024)
/* What may be under way in one direction: 1.6 GB/s at 40 ms. */
#define MOST_HELD (32u * 1024 * 1024)

/* Bytes under way; none mean the end of what one side had to say. */
struct piece {
    struct piece *next;
    int64_t due; /* when they arrive, in ns */
    size_t length, sent;
    char bytes[];
};

/* One direction of a connection. */
struct flow {
    struct piece *first, *last;
    size_t held;  /* bytes in the pieces */
    int read_all; /* one side has said everything */
    int sent_all; /* and the other side has got it */
    int full;     /* the other side takes no more at the moment */
};

struct pair {
    int client, server; /* -1: not connected yet */
    int64_t opens;      /* when the connection reaches the server, in ns */
    struct flow up, down;
    int used;
};

static struct pair pairs[MOST_PAIRS];
static int64_t half_rtt, opening;
static struct sockaddr_in target;
static char buffer[PIECE];

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void set_up(int socket)
{
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
}

static void drop_pieces(struct flow *flow)
{
    while (flow->first) {
        struct piece *piece = flow->first;
        flow->first = piece->next;
        free(piece);
    }
}

static void close_pair(struct pair *pair)
{
    close(pair->client);
    if (pair->server >= 0)
        close(pair->server);
    drop_pieces(&pair->up);
    drop_pieces(&pair->down);
    memset(pair, 0, sizeof *pair);
}

static void accept_one(int listener)
{
    int client = accept(listener, NULL, NULL);
    if (client < 0)
        return;
    for (struct pair *pair = pairs; pair < pairs + MOST_PAIRS; pair++) {
        if (!pair->used) {
            set_up(client);
            *pair = (struct pair){.client = client, .server = -1, .opens = now_ns() + opening, .used = 1};
            return;
        }
    }
    close(client);
}

/* Opens the connection to the server when its time has come; 0 if that fails. */
static int open_server(struct pair *pair)
{
    if (pair->server >= 0 || now_ns() < pair->opens)
        return 1;
    pair->server = socket(AF_INET, SOCK_STREAM, 0);
    if (pair->server < 0 || connect(pair->server, (struct sockaddr *)&target, sizeof target) < 0)
        return 0;
    set_up(pair->server);
    return 1;
}

/* Takes in what a side has said; 0 if the connection is broken. */
static int take(struct flow *flow, int from, int64_t not_before)
{
    while (!flow->read_all && flow->held < MOST_HELD) {
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        struct piece *piece = malloc(sizeof *piece + (size_t)got);
        if (!piece)
            die("proxy: malloc");
        int64_t now = now_ns();
        *piece = (struct piece){.due = (now > not_before ? now : not_before) + half_rtt, .length = (size_t)got};
        memcpy(piece->bytes, buffer, (size_t)got);
        if (flow->first)
            flow->last->next = piece;
        else
            flow->first = piece;
        flow->last = piece;
        flow->held += (size_t)got;
        flow->read_all = got == 0;
    }
    return 1;
}

/* Gives the other side what has arrived by now; 0 if the connection is broken. */
static int give(struct flow *flow, int to)
{
    flow->full = 0;
    while (flow->first && flow->first->due <= now_ns()) {
        struct piece *piece = flow->first;
        if (piece->length == 0) {
            shutdown(to, SHUT_WR);
            flow->sent_all = 1;
        }
        while (piece->sent < piece->length) {
            ssize_t put = send(to, piece->bytes + piece->sent, piece->length - piece->sent, MSG_NOSIGNAL);
            if (put < 0) {
                flow->full = errno == EAGAIN;
                return errno == EAGAIN || errno == EINTR;
            }
            piece->sent += (size_t)put;
        }
        flow->held -= piece->length;
        flow->first = piece->next;
        free(piece);
    }
    return 1;
}

static int step(struct pair *pair)
{
    if (!open_server(pair))
        return 0;
    if (!take(&pair->up, pair->client, pair->opens - half_rtt))
        return 0;
    if (pair->server < 0)
        return 1;
    if (!take(&pair->down, pair->server, 0) || !give(&pair->up, pair->server) || !give(&pair->down, pair->client))
        return 0;
    return !(pair->up.sent_all && pair->down.sent_all);
}

static void watch(struct pollfd *slot, int socket, const struct flow *in, const struct flow *out)
{
    slot->fd = socket;
    slot->events = (short)((!in->read_all && in->held < MOST_HELD ? POLLIN : 0) | (out->full ? POLLOUT : 0));
    if (!slot->events)
        slot->fd = -1; /* else a closed side would wake us again and again */
}

/* Sleeps until something can be done. */
static void wait_for_work(int listener)
{
    struct pollfd slots[1 + 2 * MOST_PAIRS] = {{.fd = listener, .events = POLLIN}};
    nfds_t count = 1;
    int64_t next = INT64_MAX;
    for (struct pair *pair = pairs; pair < pairs + MOST_PAIRS; pair++) {
        if (!pair->used)
            continue;
        watch(&slots[count++], pair->client, &pair->up, &pair->down);
        if (pair->server >= 0)
            watch(&slots[count++], pair->server, &pair->down, &pair->up);
        else if (pair->opens < next)
            next = pair->opens;
        const struct flow *flows[] = {&pair->up, &pair->down};
        for (int i = 0; i < 2; i++)
            if (pair->server >= 0 && flows[i]->first && !flows[i]->full && flows[i]->first->due < next)
                next = flows[i]->first->due;
    }
    int64_t left = next - now_ns();
    if (left < 0)
        left = 0;
    struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    if (ppoll(slots, count, next == INT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR)
        die("proxy: ppoll");
    if (slots[0].revents)
        accept_one(listener);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: proxy PORT RTT [CONNECT_RTT]\n");
        return 64;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    half_rtt = (int64_t)atoll(argv[2]) * 500;
    opening = argc > 3 && atoi(argv[3]) ? 3 * half_rtt : 0;

    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&place, size) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&place, &size) < 0)
        die("proxy: listen");
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);
    for (;;) {
        wait_for_work(listener);
        for (struct pair *pair = pairs; pair < pairs + MOST_PAIRS; pair++)
            if (pair->used && !step(pair))
                close_pair(pair);
    }
}
