/* What a libc makes of paths. Each argument after the first is a path: "read" prints "PATH: content" or why not, "list"
   the names in it, sorted, "sleep N" sleeps that many seconds and says how long the clock says it took. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void say_content(const char *path) {
    char buffer[4096];
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(buffer, 1, sizeof buffer, file) : 0;
    if (!file || ferror(file))
        printf("%s: %s\n", path, strerror(errno));
    else
        printf("%s: %.*s\n", path, (int)size, buffer);
    if (file)
        fclose(file);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void say_names(const char *path) {
    char *names[256];
    size_t count = 0;
    DIR *directory = opendir(path);
    if (!directory) {
        printf("%s: %s\n", path, strerror(errno));
        return;
    }
    for (struct dirent *entry; count < 256 && (entry = readdir(directory));)
        names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    printf("%s:", path);
    for (size_t i = 0; i < count; i++)
        printf(" %s", names[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[1], "read")) {
            say_content(argv[i]);
        } else if (!strcmp(argv[1], "list")) {
            say_names(argv[i]);
        } else if (!strcmp(argv[1], "sleep")) {
            struct timespec before, after;
            clock_gettime(CLOCK_MONOTONIC, &before);
            sleep((unsigned)atoi(argv[i]));
            clock_gettime(CLOCK_MONOTONIC, &after);
            printf("slept %lld s, the time is %lld\n", (long long)(after.tv_sec - before.tv_sec),
                   (long long)time(NULL));
        } else {
            return 2;
        }
    }
    return 0;
}
