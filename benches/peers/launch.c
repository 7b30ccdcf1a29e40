/* Runs one program and says what it used:
 *
 *     launch SECONDS REPORT UID GID PROGRAM [ARGUMENT...]
 *
 * UID and GID are who the program runs as; only root may name others than its own. REPORT gets one line: wall time,
 * user time and system time in microseconds, peak memory in KiB, and how it ended (its status, 128 + the signal that
 * ended it, or -1 if it was ended because SECONDS had passed).
 *
 * It is a program of its own because the kernel counts the memory of whoever calls exec as memory of the new program:
 * started from Python, nothing would use less than Python does. */

#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The program, which leads a process group of its own. */
static volatile pid_t program;
static volatile sig_atomic_t too_long;

static void end_it(int signal_number)
{
    if (signal_number == SIGALRM)
        too_long = 1;
    if (program > 0)
        kill(-program, SIGKILL);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t in_us(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void become(uid_t user, gid_t group)
{
    if (geteuid() == user)
        return;
    if (setgroups(1, &group) < 0 || setgid(group) < 0 || setuid(user) < 0) {
        perror("launch: setuid");
        _exit(126);
    }
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: launch SECONDS REPORT UID GID PROGRAM [ARGUMENT...]\n");
        return 64;
    }
    struct sigaction action = {.sa_handler = end_it};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing outlives the comparison */

    int64_t begun = now_us();
    pid_t child = fork();
    if (child < 0) {
        perror("launch: fork");
        return 71;
    }
    if (child == 0) {
        setpgid(0, 0);
        become((uid_t)atoi(argv[3]), (gid_t)atoi(argv[4]));
        execvp(argv[5], argv + 5);
        fprintf(stderr, "launch: %s: %s\n", argv[5], strerror(errno));
        _exit(127);
    }
    setpgid(child, child);
    program = child;
    alarm((unsigned)atoi(argv[1]));

    int status;
    struct rusage used;
    while (wait4(child, &status, 0, &used) < 0) {
        if (errno != EINTR) {
            perror("launch: wait4");
            return 71;
        }
    }
    int64_t wall = now_us() - begun;
    kill(-child, SIGKILL); /* what it has left behind */

    int ended = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    FILE *report = fopen(argv[2], "w");
    if (!report) {
        perror(argv[2]);
        return 73;
    }
    fprintf(report, "%lld %lld %lld %ld %d\n", (long long)wall, (long long)in_us(used.ru_utime),
            (long long)in_us(used.ru_stime), used.ru_maxrss, too_long ? -1 : ended);
    return fclose(report) ? 73 : 0;
}
