/* A program of both specs: its libc is preview1's, and it calls `wasi_unstable` (preview0) itself, whose records are
 * declared here as C lays them out. It writes a file, seeks, stats, polls and looks at its directory, and says of the
 * first thing that is not as it has to be. */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OLD(name) __attribute__((import_module("wasi_unstable"), import_name(#name)))

enum { FROM_HERE, FROM_END, FROM_START }; /* whence, in the older order */
enum { CLOCK, READ, WRITE };
enum { REALTIME, MONOTONIC };
enum { AGAIN = 6, BADF = 8 };

struct iovec_ { uint8_t *buf; uint32_t size; };
struct filestat { uint64_t dev, ino; uint8_t type; uint32_t nlink; uint64_t size, atim, mtim, ctim; };
struct fdstat { uint8_t type; uint16_t flags; uint64_t rights, inheriting; };
struct prestat { uint8_t tag; uint32_t name_size; };
struct subscription {
    uint64_t userdata;
    uint8_t tag;
    union {
        struct { uint64_t identifier; uint32_t id; uint64_t timeout, precision; uint16_t flags; } clock;
        uint32_t fd;
    } u;
};
struct event { uint64_t userdata; uint16_t error; uint8_t type; uint64_t nbytes; uint16_t flags; };

uint16_t OLD(path_open) old_path_open(uint32_t fd, uint32_t look, const char *path, uint32_t size, uint32_t oflags,
                                      uint64_t rights, uint64_t inheriting, uint32_t flags, uint32_t *result);
uint16_t OLD(fd_write) old_write(uint32_t fd, const struct iovec_ *vecs, uint32_t count, uint32_t *result);
uint16_t OLD(fd_read) old_read(uint32_t fd, const struct iovec_ *vecs, uint32_t count, uint32_t *result);
uint16_t OLD(fd_seek) old_seek(uint32_t fd, int64_t offset, uint32_t whence, uint64_t *result);
uint16_t OLD(fd_filestat_get) old_filestat(uint32_t fd, struct filestat *result);
uint16_t OLD(path_filestat_get) old_path_filestat(uint32_t fd, uint32_t look, const char *path, uint32_t size,
                                                  struct filestat *result);
uint16_t OLD(fd_fdstat_get) old_fdstat(uint32_t fd, struct fdstat *result);
uint16_t OLD(fd_prestat_get) old_prestat(uint32_t fd, struct prestat *result);
uint16_t OLD(fd_prestat_dir_name) old_dir_name(uint32_t fd, char *path, uint32_t size);
uint16_t OLD(poll_oneoff) old_poll(const struct subscription *in, struct event *out, uint32_t count, uint32_t *result);
uint16_t OLD(clock_time_get) old_time(uint32_t id, uint64_t precision, uint64_t *result);
uint16_t OLD(fd_close) old_close(uint32_t fd);

#define CHECK(what)                                                                                                    \
    if (!(what)) {                                                                                                     \
        printf("line %d: %s\n", __LINE__, #what);                                                                      \
        return 1;                                                                                                      \
    }

int main(void) {
    uint8_t data[16] = "hello";
    struct iovec_ vec = {data, 5};
    uint32_t fd, done;
    uint64_t at, begin, end;

    struct prestat prestat = {9, 9};
    char name[9] = "????????";
    CHECK(!old_prestat(3, &prestat) && prestat.tag == 0 && prestat.name_size == 4);
    CHECK(!old_dir_name(3, name, 4) && !memcmp(name, "/box????", 8));
    CHECK(old_prestat(4, &prestat) == BADF);

    CHECK(!old_path_open(3, 0, "file", 4, 1, (1 << 29) - 1, 0, 0, &fd) && fd == 4);
    CHECK(!old_write(fd, &vec, 1, &done) && done == 5);
    CHECK(!old_seek(fd, -2, FROM_END, &at) && at == 3);
    CHECK(!old_seek(fd, 1, FROM_HERE, &at) && at == 4);
    CHECK(!old_seek(fd, 1, FROM_START, &at) && at == 1);
    memset(data, '?', sizeof data);
    CHECK(!old_read(fd, &vec, 1, &done) && done == 4 && !memcmp(data, "ello????", 8));

    struct filestat old, other;
    struct stat new;
    CHECK(sizeof old == 56 && !old_filestat(fd, &old) && !old_path_filestat(3, 0, "file", 4, &other));
    CHECK(!fstat((int)fd, &new)); /* the same descriptor by the newer spec */
    CHECK(old.type == 4 && old.nlink == 1 && old.size == 5 && old.ino == new.st_ino && old.ino == other.ino);
    CHECK(old.mtim == (uint64_t)new.st_mtim.tv_sec * 1000000000 + (uint64_t)new.st_mtim.tv_nsec);
    CHECK(!link("/box/file", "/box/other") && !old_filestat(fd, &old) && old.nlink == 2);

    struct fdstat fdstat;
    CHECK(!old_fdstat(fd, &fdstat) && fdstat.type == 4 && fdstat.rights && !(fdstat.rights >> 29));

    struct event events[3];
    struct subscription wanted[3] = {
        {.userdata = 7, .tag = CLOCK, .u.clock = {.identifier = 99, .id = MONOTONIC, .timeout = 1000000000}},
        {.userdata = 8, .tag = READ, .u.fd = fd},
        {.userdata = 9, .tag = WRITE, .u.fd = 77},
    };
    CHECK(!old_poll(wanted, events, 3, &done) && done == 2);
    CHECK(events[0].userdata + events[1].userdata == 17);
    for (int i = 0; i < 2; i++)
        CHECK(events[i].userdata == 8 ? events[i].type == READ && !events[i].error && events[i].nbytes == 0
                                      : events[i].type == WRITE && events[i].error == BADF);
    CHECK(!old_time(MONOTONIC, 1, &begin));
    wanted[0].u.clock.timeout = begin + 5000000;
    wanted[0].u.clock.flags = 1; /* absolute */
    CHECK(!old_poll(wanted, events, 1, &done) && done == 1 && events[0].userdata == 7 && events[0].type == CLOCK);
    CHECK(!old_time(MONOTONIC, 1, &end) && end >= begin + 5000000);
    CHECK(old_poll(wanted, events, 0, &done) == 28);

    CHECK(!old_close(fd) && close((int)fd) < 0);
    puts("as it has to be");
    return 0;
}
