/* The plainest way to fetch a maildrop, to compare with:
 *
 *     bare PORT USER PASSWORD MAILDIR sync|no-sync
 *
 * It asks for all messages at once (pipelined), writes each one to MAILDIR/tmp, syncs it (or not), and renames it to
 * MAILDIR/new: one after the other. Dot-stuffing and carriage returns go, as a Maildir wants it. It checks nothing,
 * remembers nothing, syncs no directory, and whatever goes wrong ends it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Questions ahead of their answers: enough to keep a loopback link full, too few to block both sides. */
#define AHEAD 64

static int server;
static char in[256 * 1024], out[256 * 1024];
static size_t in_at, in_end, out_end;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void say(const char *words)
{
    size_t length = strlen(words);
    if (write(server, words, length) != (ssize_t)length)
        die("bare: write to the server");
}

static void fill(void)
{
    ssize_t got = read(server, in, sizeof in);
    if (got <= 0)
        die("bare: read from the server");
    in_at = 0;
    in_end = (size_t)got;
}

/* One line of the server's, which must be +OK, in `line`. */
static void answer(char *line, size_t room)
{
    size_t length = 0;
    for (;;) {
        if (in_at == in_end)
            fill();
        char byte = in[in_at++];
        if (byte == '\n')
            break;
        if (length + 1 < room)
            line[length++] = byte;
    }
    line[length] = 0;
    if (strncmp(line, "+OK", 3) != 0) {
        fprintf(stderr, "bare: the server said %s\n", line);
        exit(1);
    }
}

static void ask(const char *command, char *line, size_t room)
{
    say(command);
    answer(line, room);
}

static void flush(int file)
{
    for (size_t done = 0; done < out_end;) {
        ssize_t put = write(file, out + done, out_end - done);
        if (put < 0)
            die("bare: write");
        done += (size_t)put;
    }
    out_end = 0;
}

static void put(int file, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t room = sizeof out - out_end, part = length < room ? length : room;
        memcpy(out + out_end, bytes, part);
        out_end += part;
        bytes += part;
        length -= part;
        if (out_end == sizeof out)
            flush(file);
    }
}

/* Writes a message to `file`, up to the line with nothing but a dot. */
static void message(int file)
{
    int line_start = 1, dot = 0, cr = 0; /* dot: the line began with one, and nothing is written of it yet */
    for (;;) {
        if (in_at == in_end)
            fill();
        if (line_start && in[in_at] == '.') {
            dot = 1;
            line_start = 0;
            in_at++;
            continue;
        }
        const char *begin = in + in_at;
        const char *newline = memchr(begin, '\n', in_end - in_at);
        size_t length = newline ? (size_t)(newline - begin) : in_end - in_at;
        in_at += length + (newline != NULL);
        if (newline && dot && ((length == 1 && begin[0] == '\r') || (length == 0 && cr)))
            return;
        if (cr && length > 0)
            put(file, "\r", 1);
        if (length > 0) {
            cr = begin[length - 1] == '\r';
            put(file, begin, length - (size_t)cr);
            if (length > (size_t)cr)
                dot = 0;
        }
        line_start = newline != NULL;
        if (newline) {
            put(file, "\n", 1);
            dot = cr = 0;
        }
    }
}

static void connect_to(int port)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || connect(server, (struct sockaddr *)&place, sizeof place) < 0)
        die("bare: connect");
}

static int make_maildir(const char *path)
{
    if (mkdir(path, 0700) < 0)
        die(path);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    if (dir < 0 || mkdirat(dir, "tmp", 0700) < 0 || mkdirat(dir, "new", 0700) < 0 || mkdirat(dir, "cur", 0700) < 0)
        die(path);
    return dir;
}

static void ask_ahead(unsigned long *asked, unsigned long upto)
{
    char words[AHEAD * 32];
    size_t length = 0;
    while (*asked < upto && length + 32 < sizeof words)
        length += (size_t)sprintf(words + length, "RETR %lu\r\n", ++*asked);
    if (length > 0)
        say(words);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bare PORT USER PASSWORD MAILDIR sync|no-sync\n");
        return 64;
    }
    char line[1024], command[1024];
    connect_to(atoi(argv[1]));
    answer(line, sizeof line);
    snprintf(command, sizeof command, "USER %s\r\n", argv[2]);
    ask(command, line, sizeof line);
    snprintf(command, sizeof command, "PASS %s\r\n", argv[3]);
    ask(command, line, sizeof line);
    ask("STAT\r\n", line, sizeof line);
    unsigned long count = strtoul(line + 4, NULL, 10), asked = 0;

    int dir = make_maildir(argv[4]), sync = strcmp(argv[5], "sync") == 0;
    for (unsigned long number = 1; number <= count; number++) {
        if (asked < number + AHEAD / 2)
            ask_ahead(&asked, number + AHEAD - 1 < count ? number + AHEAD - 1 : count);
        char tmp[64], new[64];
        snprintf(tmp, sizeof tmp, "tmp/%lu.bare", number);
        snprintf(new, sizeof new, "new/%lu.bare", number);
        answer(line, sizeof line);
        int file = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (file < 0)
            die(tmp);
        message(file);
        flush(file);
        if (sync && fsync(file) < 0)
            die("bare: fsync");
        if (close(file) < 0 || renameat(dir, tmp, dir, new) < 0)
            die(new);
    }
    ask("QUIT\r\n", line, sizeof line);
    return 0;
}
