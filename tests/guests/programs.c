/* Whole programs, written as everybody writes them, with the C library.
 *
 * programs SCALE PROGRAM,PROGRAM,...   one line per program: its name and the ns that it took
 * programs SCALE cat                   SCALE pieces of 64 KiB from standard input to standard output
 * programs SCALE busy                  computes, and calls nothing
 *
 * The first preopened folder has the file `big` and the folder `texts`, in which each entry is a folder of text files.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/bench/"
enum { PIECE = 1 << 16, FOLDERS = 100, LINE = 4096 };

static uint8_t piece[PIECE];
static long scale;

static void must(int done, const char *what) {
    if (!done) {
        printf("failed: %s\n", what);
        exit(1);
    }
}

/* Make `scale` small files in FOLDERS folders, look at each, read each, and remove all. */
static void tree(void) {
    char path[64], text[64];
    struct stat found;
    must(!mkdir(ROOT "tree", 0777), "mkdir");
    for (long i = 0; i < scale; i++) {
        snprintf(path, sizeof path, ROOT "tree/d%02ld", i % FOLDERS);
        if (i < FOLDERS) must(!mkdir(path, 0777), path);
        snprintf(path, sizeof path, ROOT "tree/d%02ld/f%05ld", i % FOLDERS, i);
        FILE *file = fopen(path, "w");
        must(file && fprintf(file, "%ld\n", i) > 0 && !fclose(file), path);
    }
    long seen = 0;
    for (int i = 0; i < FOLDERS; i++) {
        snprintf(path, sizeof path, ROOT "tree/d%02d", i);
        DIR *folder = opendir(path);
        if (!folder && i >= scale) break;
        must(folder != NULL, path);
        for (struct dirent *entry; (entry = readdir(folder));) {
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, ROOT "tree/d%02d/%.20s", i, entry->d_name);
            must(!stat(path, &found) && found.st_size, path);
            FILE *file = fopen(path, "r");
            must(file && fgets(text, sizeof text, file) && atol(text) == atol(entry->d_name + 1), path);
            must(!fclose(file), path);
            seen++;
        }
        closedir(folder);
    }
    must(seen == scale, "all files are there");
    for (long i = 0; i < scale; i++) {
        snprintf(path, sizeof path, ROOT "tree/d%02ld/f%05ld", i % FOLDERS, i);
        must(!unlink(path), path);
    }
    for (long i = 0; i < FOLDERS && i < scale; i++) {
        snprintf(path, sizeof path, ROOT "tree/d%02ld", i);
        must(!rmdir(path), path);
    }
    must(!rmdir(ROOT "tree"), "rmdir");
}

static void copy(void) {
    FILE *from = fopen(ROOT "big", "r"), *to = fopen(ROOT "copy", "w");
    must(from && to, "fopen");
    setvbuf(from, NULL, _IONBF, 0);
    setvbuf(to, NULL, _IONBF, 0);
    for (size_t size; (size = fread(piece, 1, PIECE, from));) must(fwrite(piece, 1, size, to) == size, "fwrite");
    must(!fclose(from) && !fclose(to) && !unlink(ROOT "copy"), "copy");
}

/* Lines with a word, in all texts, as `grep -r` finds them. */
static void grep(void) {
    static char line[LINE];
    char path[128];
    long lines = 0, matches = 0;
    DIR *folders = opendir(ROOT "texts");
    must(folders != NULL, "texts");
    for (struct dirent *outer; (outer = readdir(folders));) {
        if (outer->d_name[0] == '.') continue;
        snprintf(path, sizeof path, ROOT "texts/%.20s", outer->d_name);
        DIR *folder = opendir(path);
        must(folder != NULL, path);
        for (struct dirent *inner; (inner = readdir(folder));) {
            if (inner->d_name[0] == '.') continue;
            snprintf(path, sizeof path, ROOT "texts/%.20s/%.20s", outer->d_name, inner->d_name);
            FILE *file = fopen(path, "r");
            must(file != NULL, path);
            for (; fgets(line, LINE, file); lines++) matches += strstr(line, "needle") != NULL;
            fclose(file);
        }
        closedir(folder);
    }
    closedir(folders);
    must(lines && matches, "matches");
}

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turned(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

/* A block of 64 bytes (FIPS 180-4, 6.2.2). */
static void block(uint32_t state[8], const uint8_t *data) {
    uint32_t w[64], v[8];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)data[4 * t] << 24 | data[4 * t + 1] << 16 | data[4 * t + 2] << 8 | data[4 * t + 3];
    for (int t = 16; t < 64; t++)
        w[t] = w[t - 16] + w[t - 7] + (turned(w[t - 15], 7) ^ turned(w[t - 15], 18) ^ w[t - 15] >> 3) +
               (turned(w[t - 2], 17) ^ turned(w[t - 2], 19) ^ w[t - 2] >> 10);
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        uint32_t one = v[7] + (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25)) +
                       ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[t] + w[t];
        uint32_t two =
            (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, sizeof v - sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

static uint32_t hash(uint32_t state[8], FILE *file) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint64_t total = 0;
    size_t size;
    memcpy(state, start, sizeof start);
    setvbuf(file, NULL, _IONBF, 0);
    while ((size = fread(piece, 1, PIECE, file)) == PIECE) {
        for (size_t at = 0; at < PIECE; at += 64) block(state, piece + at);
        total += PIECE;
    }
    total += size;
    piece[size++] = 0x80;
    while (size % 64 != 56) piece[size++] = 0;
    for (int i = 0; i < 8; i++) piece[size++] = total * 8 >> (56 - 8 * i);
    for (size_t at = 0; at < size; at += 64) block(state, piece + at);
    return state[0];
}

/* Of `big`; the file `digest` has the first eight digits that must come out. */
static void sha256(void) {
    uint32_t state[8];
    char expected[16] = "", found[16];
    FILE *file = fopen(ROOT "big", "r"), *digest = fopen(ROOT "digest", "r");
    must(file && digest && fgets(expected, 9, digest), "fopen");
    snprintf(found, sizeof found, "%08x", hash(state, file));
    must(!strcmp(found, expected), "the digest");
    fclose(file);
    fclose(digest);
}

static void cat(void) {
    for (long i = 0; i < scale; i++)
        for (size_t at = 0, size; at < PIECE; at += size) {
            ssize_t got = read(0, piece + at, PIECE - at);
            must(got > 0 && write(1, piece + at, got) == got, "cat");
            size = got;
        }
}

static void busy(void) {
    uint32_t state[8] = {0};
    for (long i = 0; i < scale; i++)
        for (size_t at = 0; at < PIECE; at += 64) block(state, piece + at);
    must(state[0] != 0, "busy");
}

static const struct {
    const char *name;
    void (*run)(void);
    int is_quiet; /* it prints nothing */
} programs[] = {{"tree", tree, 0},     {"copy", copy, 0}, {"grep", grep, 0},
                {"sha256", sha256, 0}, {"cat", cat, 1},   {"busy", busy, 1}};

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int main(int argc, char **argv) {
    must(argc == 3, "programs SCALE PROGRAM,...");
    scale = atol(argv[1]);
    for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
        unsigned index = 0, known = sizeof programs / sizeof *programs;
        while (index < known && strcmp(name, programs[index].name)) index++;
        must(index < known, name);
        int64_t start = now();
        programs[index].run();
        if (!programs[index].is_quiet) printf("%s %lld\n", name, (long long)(now() - start));
    }
    return 0;
}
