/* Runs a program and says which of its functions were entered:
 *
 *     entered FUNCTIONS REPORT PROGRAM [ARGUMENT...]
 *
 * FUNCTIONS has a line for each, its address in the file in hexadecimal; REPORT gets those that were. Each one begins
 * with a breakpoint that is taken away when it is met, so the program runs at nearly its own speed. (Under valgrind it
 * does not run at all: that maps only a part of the kernel's page of functions.) For x86-64. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct function {
    uint64_t address;
    unsigned char first; /* the octet in place of which there is a breakpoint */
    char planted, entered;
};

static struct function *functions;
static size_t count;
static uint64_t base;
static int memory = -1;
static pid_t program;

static void fail(const char *what)
{
    perror(what);
    if (program > 0)
        kill(program, SIGKILL);
    exit(1);
}

static int in_order(const void *left, const void *right)
{
    uint64_t a = ((const struct function *)left)->address, b = ((const struct function *)right)->address;
    return (a > b) - (a < b);
}

static void read_functions(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t most = 0;
    uint64_t address;
    if (!file)
        fail(path);
    while (fscanf(file, "%lx", &address) == 1) {
        if (count == most && !(functions = realloc(functions, (most = 2 * most + 1024) * sizeof *functions)))
            fail("realloc");
        functions[count++] = (struct function){.address = address};
    }
    fclose(file);
    qsort(functions, count, sizeof *functions, in_order);
}

static void put(struct function *function, unsigned char octet)
{
    if (pwrite(memory, &octet, 1, (off_t)(base + function->address)) != 1)
        fail("write into the program");
}

/* The program has just been loaded: its first mapping is where its file begins. */
static void plant(const char *path)
{
    char name[64], line[PATH_MAX + 128], real[PATH_MAX];
    if (!realpath(path, real))
        fail(path);
    snprintf(name, sizeof name, "/proc/%d/maps", program);
    FILE *maps = fopen(name, "r");
    base = 0;
    while (maps && !base && fgets(line, sizeof line, maps)) {
        if (strstr(line, real))
            base = strtoull(line, NULL, 16);
    }
    if (!base)
        fail("find the program in its memory");
    fclose(maps);
    if (memory >= 0)
        close(memory);
    snprintf(name, sizeof name, "/proc/%d/mem", program);
    if ((memory = open(name, O_RDWR | O_CLOEXEC)) < 0)
        fail(name);
    for (struct function *one = functions; one < functions + count; one++) {
        if (pread(memory, &one->first, 1, (off_t)(base + one->address)) != 1)
            fail("read the program");
        one->planted = 1;
        put(one, 0xcc);
    }
}

/* Whether a thread has met a breakpoint of ours: then it goes on as if there had been none. */
static int is_entry(pid_t thread)
{
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread, 0, &registers) < 0)
        return 0;
    struct function key = {.address = registers.rip - 1 - base};
    struct function *one = bsearch(&key, functions, count, sizeof *functions, in_order);
    if (!one)
        return 0;
    /* Another thread may have met it at the same time. */
    if (one->planted)
        put(one, one->first);
    one->planted = 0;
    one->entered = 1;
    registers.rip--;
    if (ptrace(PTRACE_SETREGS, thread, 0, &registers) < 0 && errno != ESRCH)
        fail("PTRACE_SETREGS");
    return 1;
}

static int follow(const char *path)
{
    for (;;) {
        int status, given = 0;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0)
            fail("waitpid");
        if (thread == program && (WIFEXITED(status) || WIFSIGNALED(status)))
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (!WIFSTOPPED(status))
            continue;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
            plant(path);
        else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP
                 && !(WSTOPSIG(status) == SIGTRAP && is_entry(thread)))
            given = WSTOPSIG(status);
        ptrace(PTRACE_CONT, thread, 0, (void *)(intptr_t)given);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: entered FUNCTIONS REPORT PROGRAM [ARGUMENT...]\n");
        return 64;
    }
    read_functions(argv[1]);
    program = fork();
    if (program < 0)
        fail("fork");
    if (program == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(argv[3], argv + 3);
        fail(argv[3]);
    }
    int status;
    if (waitpid(program, &status, 0) < 0)
        fail("waitpid");
    long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, program, 0, (void *)options) < 0 || ptrace(PTRACE_CONT, program, 0, 0) < 0)
        fail("ptrace");
    int ended = follow(argv[3]);
    FILE *report = fopen(argv[2], "w");
    if (!report)
        fail(argv[2]);
    for (struct function *one = functions; one < functions + count; one++)
        if (one->entered)
            fprintf(report, "%lx\n", one->address);
    return fclose(report) ? 73 : ended;
}
