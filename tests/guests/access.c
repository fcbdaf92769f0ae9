/* Opens the file of the first argument in each access mode, and says what its libc thinks of the descriptor and what each
   POSIX call on it does. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name(int code) {
    switch (code) {
    case 0: return "ok";
    case EBADF: return "EBADF";
    case EINVAL: return "EINVAL";
    case EISDIR: return "EISDIR";
    case EROFS: return "EROFS";
    default: return strerror(code);
    }
}

static const char *done(long result) { return name(result < 0 ? errno : 0); }

int main(int argc, char **argv) {
    static const struct {
        const char *what;
        int flags;
    } modes[] = {{"O_RDONLY", O_RDONLY}, {"O_WRONLY", O_WRONLY}, {"O_RDWR", O_RDWR}, {"O_RDONLY|O_CREAT", O_RDONLY | O_CREAT}};
    char byte = '!';
    if (argc != 2)
        return 2;
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        int fd = open(argv[1], modes[i].flags, 0666), mode;
        if (fd < 0) {
            printf("%s: %s\n", modes[i].what, name(errno));
            continue;
        }
        mode = fcntl(fd, F_GETFL) & O_ACCMODE;
        printf("%s: is %s", modes[i].what, mode == O_RDONLY ? "O_RDONLY" : mode == O_WRONLY ? "O_WRONLY" : "O_RDWR");
        printf(", read %s", done(read(fd, &byte, 1)));
        printf(", write %s", done(write(fd, &byte, 1)));
        printf(", pwrite %s", done(pwrite(fd, &byte, 1, 1)));
        printf(", lseek %s", done(lseek(fd, 0, SEEK_END)));
        printf(", fsync %s", done(fsync(fd)));
        printf(", futimens %s", done(futimens(fd, NULL)));
        printf(", fallocate %s", name(posix_fallocate(fd, 0, 1)));
        printf(", ftruncate %s\n", done(ftruncate(fd, 3)));
        close(fd);
    }
    return 0;
}
