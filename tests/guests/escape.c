/* Tries to get out of its one directory for argv[1] seconds, by every call that takes a path, while others swap what the
   paths name. argv[2] is a seed, the rest inode numbers that it must never see. Prints how many calls it made, what they
   answered, and each escape that it noticed; what it changed outside, whoever runs it has to find. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wasi/api.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define ALL ((__wasi_rights_t)-1 >> 34)

static const char *const PATHS[] = {
    "here", "here/", "here/.", "here/secret", "here/secret/", "here/../file", "here/new", "here/folder", "here/sub/secret",
    "dir/../here/secret", "here/./secret", "here//secret", "flip", "flip/", "flip/x", "moved/inner/../../file",
    "moved/inner/..", "moved/inner/../../../outside/secret", "moved/secret", "link", "link/", "link/secret", "dir/up/here/secret",
    "../outside/secret", "here/..", "here/../..", "stolen", "here/unseen",
};
static unsigned long calls, escapes, answers[128];
static unsigned long long forbidden[16];
static int forbidden_count;

static void escaped(const char *how, const char *path) {
    if (escapes++ < 20)
        printf("ESCAPE %s %s\n", how, path);
}

static int tell(__wasi_errno_t answer) {
    calls++;
    answers[answer < 128 ? answer : 127]++;
    return answer == 0;
}

static void look(const char *path, const __wasi_filestat_t *stat) {
    for (int i = 0; i < forbidden_count; i++)
        if (stat->ino == forbidden[i] && stat->filetype != __WASI_FILETYPE_SYMBOLIC_LINK)
            escaped("saw", path);
}

static void use(__wasi_fd_t fd, const char *path) {
    char buffer[512];
    __wasi_iovec_t in = {(uint8_t *)buffer, sizeof buffer};
    __wasi_ciovec_t out = {(const uint8_t *)"pwned", 5};
    __wasi_filestat_t stat;
    __wasi_size_t size;
    if (tell(__wasi_fd_filestat_get(fd, &stat)))
        look(path, &stat);
    if (tell(__wasi_fd_readdir(fd, (uint8_t *)buffer, sizeof buffer, 0, &size))) {
        for (size_t i = 0; i + 12 < size; i++)
            if (!memcmp(buffer + i, "only-outside", 12))
                escaped("listed", path);
    } else if (tell(__wasi_fd_read(fd, &in, 1, &size)) && size >= 6 && !memcmp(buffer, "SECRET", 6)) {
        escaped("read", path);
    }
    if (rand() % 4 == 0)
        tell(__wasi_fd_write(fd, &out, 1, &size));
    tell(__wasi_fd_close(fd));
}

static void attempt(void) {
    const char *path = PATHS[rand() % COUNT(PATHS)], *other = PATHS[rand() % COUNT(PATHS)];
    uint8_t content[64];
    __wasi_filestat_t stat;
    __wasi_size_t size;
    __wasi_fd_t fd;
    int follow = rand() & 1;
    switch (rand() % 12) {
    case 0: case 1: case 2: case 3:
        if (tell(__wasi_path_open(3, follow, path, rand() % 16, rand() & 1 ? ALL : __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR
                                  | __WASI_RIGHTS_FD_FILESTAT_GET, ALL, 0, &fd)))
            use(fd, path);
        break;
    case 4:
        if (tell(__wasi_path_filestat_get(3, follow, path, &stat)) && follow)
            look(path, &stat);
        break;
    case 5: tell(__wasi_path_filestat_set_times(3, follow, path, 1, 1, 5)); break;
    case 6: tell(__wasi_path_create_directory(3, path)); break;
    case 7: tell(__wasi_path_remove_directory(3, path)); break;
    case 8: tell(__wasi_path_unlink_file(3, path)); break;
    case 9: tell(__wasi_path_rename(3, path, 3, other)); break;
    case 10: tell(__wasi_path_link(3, follow, path, 3, other)); break;
    default:
        if (rand() & 1)
            tell(__wasi_path_symlink(rand() & 1 ? "../outside" : "../outside/secret", 3, path));
        else
            tell(__wasi_path_readlink(3, path, content, sizeof content, &size));
    }
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    srand(argc > 2 ? (unsigned)atoi(argv[2]) : 1);
    for (int i = 3; i < argc && forbidden_count < 16; i++)
        forbidden[forbidden_count++] = strtoull(argv[i], NULL, 10);
    __wasi_timestamp_t begin, now;
    tell(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &begin));
    do {
        for (int i = 0; i < 100; i++)
            attempt();
        tell(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now));
    } while ((double)(now - begin) < seconds * 1e9);
    printf("calls %lu\nescapes %lu\n", calls, escapes);
    for (int i = 0; i < 128; i++)
        if (answers[i])
            printf("errno %d %lu\n", i, answers[i]);
    return escapes != 0;
}
