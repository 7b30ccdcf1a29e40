/* Two floors, below which nothing can be that fetches this mail:
 *
 *     floor discard PORT USER PASSWORD
 *     floor write FROM MAILDIR THREADS
 *
 * The first asks for all messages of a maildrop ahead of their answers, reads them to their ends, and keeps nothing. The
 * second writes the files of the directory FROM to MAILDIR/tmp, syncs each, and renames it to MAILDIR/new; THREADS do so
 * side by side, and in the end the two directories are synced. Whatever goes wrong ends them. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Questions ahead of their answers: enough to keep a loopback link full, too few to block both sides. */
#define AHEAD 256

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- discard --- */

static int server;
static char in[256 * 1024];
static size_t in_at, in_end;

static void say(const char *words, size_t length)
{
    if (write(server, words, length) != (ssize_t)length)
        die("floor: write to the server");
}

static void fill(void)
{
    ssize_t got = read(server, in, sizeof in);
    if (got <= 0)
        die("floor: read from the server");
    in_at = 0;
    in_end = (size_t)got;
}

/* The server's next line, which must be +OK, as far as it fits into `line`. */
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
        fprintf(stderr, "floor: the server said %s\n", line);
        exit(1);
    }
}

static void ask(const char *command, char *line, size_t room)
{
    say(command, strlen(command));
    answer(line, room);
}

/* Reads a message up to the line with nothing but a dot. */
static void pass_message_over(void)
{
    static const char end[] = "\r\n.\r\n";
    size_t seen = 2; /* so much of the end: the status line ended with the first two octets */
    for (;;) {
        if (in_at == in_end)
            fill();
        if (seen == 0) {
            const char *cr = memchr(in + in_at, '\r', in_end - in_at);
            in_at = cr ? (size_t)(cr - in) + 1 : in_end;
            seen = cr != NULL;
            continue;
        }
        char byte = in[in_at++];
        seen = byte == end[seen] ? seen + 1 : byte == '\r';
        if (seen == sizeof end - 1)
            return;
    }
}

static void ask_ahead(unsigned long *asked, unsigned long upto)
{
    char words[AHEAD * 32];
    size_t length = 0;
    while (*asked < upto && length + 32 < sizeof words)
        length += (size_t)sprintf(words + length, "RETR %lu\r\n", ++*asked);
    if (length > 0)
        say(words, length);
}

static int discard(int port, const char *user, const char *password)
{
    char line[1024], command[1024];
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || connect(server, (struct sockaddr *)&place, sizeof place) < 0)
        die("floor: connect");
    answer(line, sizeof line);
    snprintf(command, sizeof command, "USER %s\r\n", user);
    ask(command, line, sizeof line);
    snprintf(command, sizeof command, "PASS %s\r\n", password);
    ask(command, line, sizeof line);
    ask("STAT\r\n", line, sizeof line);
    unsigned long count = strtoul(line + 4, NULL, 10), asked = 0;
    for (unsigned long number = 1; number <= count; number++) {
        if (asked < number + AHEAD / 2)
            ask_ahead(&asked, number + AHEAD - 1 < count ? number + AHEAD - 1 : count);
        answer(line, sizeof line);
        pass_message_over();
    }
    ask("QUIT\r\n", line, sizeof line);
    return 0;
}

/* --- write --- */

static int from, maildir;
static char **names;
static size_t count;
static atomic_size_t next;

static void copy(const char *name, size_t number)
{
    char tmp[64], new[64];
    struct stat status;
    snprintf(tmp, sizeof tmp, "tmp/%zu.floor", number);
    snprintf(new, sizeof new, "new/%zu.floor", number);
    int source = openat(from, name, O_RDONLY), file = openat(maildir, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (source < 0 || file < 0 || fstat(source, &status) < 0)
        die(name);
    size_t size = (size_t)status.st_size;
    char *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, source, 0);
    if (bytes == MAP_FAILED || write(file, bytes, size) != (ssize_t)size || fsync(file) < 0)
        die(tmp);
    munmap(bytes, size);
    close(source);
    if (close(file) < 0 || renameat(maildir, tmp, maildir, new) < 0)
        die(new);
}

static void *copy_some(void *nothing)
{
    for (size_t number; (number = atomic_fetch_add(&next, 1)) < count;)
        copy(names[number], number);
    return nothing;
}

static void sync_directory(const char *name)
{
    int dir = openat(maildir, name, O_RDONLY | O_DIRECTORY);
    if (dir < 0 || fsync(dir) < 0)
        die(name);
    close(dir);
}

static int write_files(const char *from_path, const char *path, int threads)
{
    DIR *listed = opendir(from_path);
    if (!listed || (from = open(from_path, O_RDONLY | O_DIRECTORY)) < 0)
        die(from_path);
    for (struct dirent *entry; (entry = readdir(listed));) {
        if (entry->d_name[0] == '.')
            continue;
        if (!(names = realloc(names, (count + 1) * sizeof *names)) || !(names[count++] = strdup(entry->d_name)))
            die("floor: memory");
    }
    if (mkdir(path, 0700) < 0 || (maildir = open(path, O_RDONLY | O_DIRECTORY)) < 0)
        die(path);
    if (mkdirat(maildir, "tmp", 0700) < 0 || mkdirat(maildir, "new", 0700) < 0 || mkdirat(maildir, "cur", 0700) < 0)
        die(path);
    pthread_t others[64];
    int started = 0;
    while (started < threads - 1 && started < 64 && pthread_create(&others[started], NULL, copy_some, NULL) == 0)
        started++;
    copy_some(NULL);
    while (started > 0)
        pthread_join(others[--started], NULL);
    sync_directory("tmp");
    sync_directory("new");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "discard") == 0)
        return discard(atoi(argv[2]), argv[3], argv[4]);
    if (argc == 5 && strcmp(argv[1], "write") == 0)
        return write_files(argv[2], argv[3], atoi(argv[4]));
    fprintf(stderr, "usage: floor discard PORT USER PASSWORD\n       floor write FROM MAILDIR THREADS\n");
    return 64;
}
