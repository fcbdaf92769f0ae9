/* A reactor: it is initialised once and then called. It keeps a number, in memory of its own.
 *
 *   put(n)    keeps n, and says so on standard output
 *   get()     what it keeps; 42 from its constructor on
 *   leave(n)  exits with n
 *   fall()    traps
 *   spin()    computes for ever
 *   rest(ms)  sleeps
 */

#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

static int64_t kept;

__attribute__((constructor)) static void begin(void) {
    kept += 42;
}

void EXPORT(put)(int64_t n) {
    kept = n;
    printf("keeps %lld\n", (long long)n);
    fflush(stdout);
}

int64_t EXPORT(get)(void) {
    return kept;
}

void EXPORT(leave)(int code) {
    exit(code);
}

void EXPORT(fall)(void) {
    __builtin_trap();
}

void EXPORT(spin)(void) {
    for (volatile unsigned turn = 0;; turn++)
        continue;
}

void EXPORT(rest)(int ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}
