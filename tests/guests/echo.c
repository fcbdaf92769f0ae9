/* Says what it was given: "args", "env", "cat" (standard input to output), "both" (one line to each output),
   "exit N", "open PATH MODE", "files PATH" (writes it and reads it back). Anything else: as "args". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int files(const char *path) {
    char buffer[32];
    FILE *file = fopen(path, "w");
    if (!file || fputs("written", file) < 0 || fclose(file)) {
        perror(path);
        return 9;
    }
    file = fopen(path, "r");
    if (!file || !fgets(buffer, sizeof buffer, file)) {
        perror(path);
        return 9;
    }
    puts(buffer);
    return fclose(file);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "args";
    if (!strcmp(what, "env")) {
        for (char **entry = environ; *entry; entry++)
            puts(*entry);
    } else if (!strcmp(what, "cat")) {
        for (int c; (c = getchar()) != EOF;)
            putchar(c);
    } else if (!strcmp(what, "both")) {
        fputs("to output\n", stdout);
        fflush(stdout);
        fputs("to error\n", stderr);
    } else if (!strcmp(what, "exit")) {
        exit(atoi(argv[2]));
    } else if (!strcmp(what, "open")) {
        if (!fopen(argv[2], argv[3])) {
            perror(argv[2]);
            return 9;
        }
    } else if (!strcmp(what, "files")) {
        return files(argv[2]);
    } else {
        for (int i = 0; i < argc; i++)
            puts(argv[i]);
    }
    return 0;
}
