/* What bare.c and floor.c have in common: a conversation with a POP3 server on loopback. Whatever goes wrong ends them; a
 * program says before it includes this how many questions are ahead of their answers (AHEAD). */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int server;
static char in[256 * 1024];
static size_t in_at, in_end;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void say(const char *words, size_t length)
{
    if (write(server, words, length) != (ssize_t)length)
        die("write to the server");
}

static void fill(void)
{
    ssize_t got = read(server, in, sizeof in);
    if (got <= 0)
        die("read from the server");
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
        fprintf(stderr, "the server said %s\n", line);
        exit(1);
    }
}

static void ask(const char *command, char *line, size_t room)
{
    say(command, strlen(command));
    answer(line, room);
}

/* Logs in, and tells how many messages there are. */
static unsigned long log_in(int port, const char *user, const char *password)
{
    char line[1024], command[1024];
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || connect(server, (struct sockaddr *)&place, sizeof place) < 0)
        die("connect");
    answer(line, sizeof line);
    snprintf(command, sizeof command, "USER %s\r\n", user);
    ask(command, line, sizeof line);
    snprintf(command, sizeof command, "PASS %s\r\n", password);
    ask(command, line, sizeof line);
    ask("STAT\r\n", line, sizeof line);
    return strtoul(line + 4, NULL, 10);
}

/* The next answer is that to the RETR of this number: asks for as many of the `count` as may be ahead of it, once half of
 * them have come. */
static void ask_ahead(unsigned long *asked, unsigned long number, unsigned long count)
{
    char words[AHEAD * 32];
    size_t length = 0;
    unsigned long upto = number + AHEAD - 1 < count ? number + AHEAD - 1 : count;
    if (*asked >= number + AHEAD / 2)
        return;
    while (*asked < upto && length + 32 < sizeof words)
        length += (size_t)sprintf(words + length, "RETR %lu\r\n", ++*asked);
    if (length > 0)
        say(words, length);
}
