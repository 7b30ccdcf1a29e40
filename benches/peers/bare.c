/* The plainest way to fetch a maildrop, to compare with:
 *
 *     bare PORT USER PASSWORD MAILDIR sync|no-sync
 *
 * It asks for all messages at once (pipelined), writes each one to MAILDIR/tmp, syncs it (or not), and renames it to
 * MAILDIR/new: one after the other. Dot-stuffing and carriage returns go, as a Maildir wants it. It checks nothing,
 * remembers nothing, syncs no directory, and whatever goes wrong ends it. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

/* Questions ahead of their answers: enough to keep a loopback link full, too few to block both sides. */
#define AHEAD 64

#include "pop3.h"

static char out[256 * 1024];
static size_t out_end;

static void flush(int file)
{
    for (size_t done = 0; done < out_end;) {
        ssize_t put = write(file, out + done, out_end - done);
        if (put < 0)
            die("write");
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

static int make_maildir(const char *path)
{
    if (mkdir(path, 0700) < 0)
        die(path);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    if (dir < 0 || mkdirat(dir, "tmp", 0700) < 0 || mkdirat(dir, "new", 0700) < 0 || mkdirat(dir, "cur", 0700) < 0)
        die(path);
    return dir;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bare PORT USER PASSWORD MAILDIR sync|no-sync\n");
        return 64;
    }
    char line[1024];
    unsigned long count = log_in(atoi(argv[1]), argv[2], argv[3]), asked = 0;
    int dir = make_maildir(argv[4]), sync = strcmp(argv[5], "sync") == 0;
    for (unsigned long number = 1; number <= count; number++) {
        ask_ahead(&asked, number, count);
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
            die("fsync");
        if (close(file) < 0 || renameat(dir, tmp, dir, new) < 0)
            die(new);
    }
    ask("QUIT\r\n", line, sizeof line);
    return 0;
}
