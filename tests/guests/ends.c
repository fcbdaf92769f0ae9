/* Says that it started, does what its arguments say, in this order, and ends in one of many ways. */
#line 3 "ends.c"
#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise"))) int proc_raise(int signal);

static void make(const char *path, size_t size) {
    FILE *file = fopen(path, "w");
    if (!file) return;
    for (size_t i = 0; i < size; i++) fputc("new"[i % 3], file);
    fclose(file);
}

int main(int argc, char **argv) {
    printf("out\n");
    fflush(stdout);
    fprintf(stderr, "started\n");
    make("/new.txt", 3);
    for (int i = 1; i < argc; i++) {
        const char *how = argv[i];
        char name[300] = "/";
        if (!strcmp(how, "trap")) __builtin_trap();
        if (!strcmp(how, "pointer")) return __wasi_random_get((uint8_t *)0xfffffff0, 100);
        if (!strcmp(how, "spin")) for (volatile int n = 0;; n++) {}
        if (!strcmp(how, "sleep")) sleep(100);
        if (!strcmp(how, "exit")) exit(3);
        if (!strcmp(how, "assert")) assert(!"reached");
        if (!strcmp(how, "raise")) proc_raise(6);
        if (!strcmp(how, "read")) return getchar();
        if (!strcmp(how, "read-on")) while (getchar() != EOF) {}
        if (!strcmp(how, "bad-text")) fprintf(stderr, "\xff\xfe\n");
        if (!strcmp(how, "terminal")) fprintf(stderr, "\x1b]0;title\x07\r\n");
        if (!strcmp(how, "much")) for (int n = 0; n < 100000; n++) fprintf(stderr, "line %d of many\n", n);
        if (!strcmp(how, "open")) while (open("/old.txt", O_RDONLY) >= 0) {}
        if (!strcmp(how, "fill")) make("/big.txt", 100000);
        if (!strcmp(how, "names")) for (int n = 0; n < 100; n++) make((sprintf(name, "/%d", n), name), 0);
        if (!strcmp(how, "path")) make((memset(name + 1, 'x', 200), name), 0);
    }
    return 0;
}
