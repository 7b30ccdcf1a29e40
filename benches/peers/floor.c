/* Two floors, below which nothing can be that fetches this mail:
 *
 *     floor discard PORT USER PASSWORD
 *     floor write FROM MAILDIR THREADS
 *
 * The first asks for all messages of a maildrop ahead of their answers, reads them to their ends, and keeps nothing. The
 * second writes the files of the directory FROM to MAILDIR/tmp, syncs each, and renames it to MAILDIR/new; THREADS do so
 * side by side, and in the end the two directories are synced. Whatever goes wrong ends them. */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Questions ahead of their answers: enough to keep a loopback link full, too few to block both sides. */
#define AHEAD 256

#include "pop3.h"

/* --- discard --- */

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

static int discard(int port, const char *user, const char *password)
{
    char line[1024];
    unsigned long count = log_in(port, user, password), asked = 0;
    for (unsigned long number = 1; number <= count; number++) {
        ask_ahead(&asked, number, count);
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
