/* Servers on descriptor 3, and the other things a guest does with sockets and standard input.
 *
 *   server echo N   gives back what N clients send, all at once, waiting in poll() for everything
 *   server one N    the same for N clients, one after the other, with blocking calls
 *   server chat     answers each line of standard input, as it comes; a dot for each 50 ms without one
 *   server cat      copies standard input to standard output without keeping anything
 *   server send     the same to descriptor 3
 *   server tty      says for 0, 1 and 2 whether it is a terminal
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 256
#define PIECE 65536
#define LISTENER 3

static struct client {
    size_t begin, end; /* of what is still to be sent */
    int ended;
    char data[PIECE];
} clients[CLIENTS];
static struct pollfd fds[CLIENTS + 1];

static int fail(const char *what) {
    perror(what);
    return 1;
}

/* One step of a client; 0 when it is over, -1 for an error. */
static int step(int fd, struct client *c) {
    if (c->begin == c->end && !c->ended) {
        ssize_t n = recv(fd, c->data, PIECE, 0);
        if (n < 0)
            return errno == EAGAIN ? 1 : -1;
        c->ended = n == 0;
        c->begin = 0;
        c->end = (size_t)n;
    }
    if (c->begin < c->end) {
        ssize_t n = send(fd, c->data + c->begin, c->end - c->begin, 0);
        if (n < 0)
            return errno == EAGAIN ? 1 : -1;
        c->begin += (size_t)n;
    }
    return !(c->ended && c->begin == c->end);
}

static int echo(int wanted) {
    int open = 0, accepted = 0;
    fds[CLIENTS].fd = LISTENER;
    if (fcntl(LISTENER, F_SETFL, O_NONBLOCK) < 0)
        return fail("F_SETFL");
    for (int i = 0; i < CLIENTS; i++)
        fds[i].fd = -1;
    while (accepted < wanted || open) {
        /* wasi-libc's poll takes no negative fd, so the open ones are moved together. */
        static struct pollfd asked[CLIENTS + 1];
        static int who[CLIENTS + 1];
        nfds_t n = 0;
        for (int i = 0; i < CLIENTS; i++)
            if (fds[i].fd >= 0) {
                asked[n].fd = fds[i].fd;
                asked[n].events = clients[i].begin < clients[i].end ? POLLOUT : POLLIN;
                who[n++] = i;
            }
        if (accepted < wanted) {
            asked[n].fd = LISTENER;
            asked[n].events = POLLIN;
            who[n++] = CLIENTS;
        }
        if (poll(asked, n, -1) <= 0)
            return fail("poll");
        for (nfds_t k = 0; k < n; k++) {
            int i = who[k];
            if (!asked[k].revents)
                continue;
            if (i == CLIENTS) {
                int fd = accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0 && errno != EAGAIN)
                    return fail("accept");
                for (int free = 0; fd >= 0; free++)
                    if (fds[free].fd < 0) {
                        memset(&clients[free], 0, offsetof(struct client, data));
                        fds[free].fd = fd;
                        open++;
                        accepted++;
                        break;
                    }
                continue;
            }
            int more = step(fds[i].fd, &clients[i]);
            if (more < 0)
                return fail("client");
            if (!more) {
                close(fds[i].fd);
                fds[i].fd = -1;
                open--;
            }
        }
    }
    printf("%d clients\n", accepted);
    return 0;
}

static int one(int wanted) {
    for (int i = 0; i < wanted; i++) {
        int fd = accept(LISTENER, NULL, NULL);
        if (fd < 0)
            return fail("accept");
        ssize_t n;
        while ((n = read(fd, clients[0].data, PIECE)) > 0)
            if (write(fd, clients[0].data, (size_t)n) != n)
                return fail("write");
        if (n < 0 || shutdown(fd, SHUT_WR) < 0 || close(fd) < 0)
            return fail("client");
    }
    printf("%d clients\n", wanted);
    return 0;
}

static int chat(void) {
    char line[256];
    size_t held = 0;
    struct pollfd in = {.fd = 0, .events = POLLIN};
    if (fcntl(0, F_SETFL, O_NONBLOCK) < 0)
        return fail("F_SETFL");
    for (;;) {
        int ready = poll(&in, 1, 50);
        if (ready < 0)
            return fail("poll");
        if (!ready) {
            if (write(1, ".", 1) != 1)
                return fail("write");
            continue;
        }
        ssize_t n = read(0, line + held, sizeof line - held);
        if (n == 0)
            break;
        if (n < 0) {
            if (errno == EAGAIN)
                continue;
            return fail("read");
        }
        held += (size_t)n;
        for (char *end; (end = memchr(line, '\n', held));) {
            size_t size = (size_t)(end - line) + 1;
            printf("you said: %.*s", (int)size, line);
            fflush(stdout);
            memmove(line, end + 1, held -= size);
        }
    }
    puts("bye");
    return 0;
}

static int cat(int to) {
    ssize_t n;
    while ((n = read(0, clients[0].data, PIECE)) > 0)
        for (ssize_t at = 0, some; at < n; at += some)
            if ((some = write(to, clients[0].data + at, (size_t)(n - at))) < 0) {
                fprintf(stderr, "write: %s\n", strerror(errno));
                return errno == EPIPE ? 3 : 1;
            }
    return n < 0 ? fail("read") : 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(what, "echo"))
        return echo(count);
    if (!strcmp(what, "one"))
        return one(count);
    if (!strcmp(what, "chat"))
        return chat();
    if (!strcmp(what, "cat"))
        return cat(1);
    if (!strcmp(what, "send"))
        return cat(LISTENER);
    if (!strcmp(what, "tty")) {
        printf("%d %d %d\n", isatty(0), isatty(1), isatty(2));
        return 0;
    }
    fputs("usage: server echo|one N, or chat, cat, send, tty\n", stderr);
    return 2;
}
