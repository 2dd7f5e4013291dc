/*
 * fuzz.h: what the fuzz targets share. Each defines fuzz_one(), which aborts where a property does
 * not hold. With clang they are linked with libFuzzer; with -DREPLAY they get a main() that runs
 * over the files that it is given, as `fuzz_parse t/fuzz/corpus/parse/...`, for any compiler.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The input is text, ended by a zero byte that is not counted. */
static void fuzz_one(const char *text, size_t length, apr_pool_t *pool);

#define FUZZ_HOLDS(property, ...)                                                                  \
    do {                                                                                           \
        if (!(property)) {                                                                         \
            fprintf(stderr, "%s:%d: %s does not hold: ", __FILE__, __LINE__, #property);           \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline void fuzz_run(const uint8_t *data, size_t size)
{
    static apr_pool_t *pool;
    char *text = malloc(size + 1);

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    fuzz_one(text, size, pool);
    free(text);
    apr_pool_clear(pool);
}

#ifdef REPLAY

static inline int fuzz_replay(const char *name)
{
    static uint8_t data[64 * 1024];
    FILE *file = fopen(name, "rb");

    if (!file) {
        perror(name);
        return EXIT_FAILURE;
    }
    fuzz_run(data, fread(data, 1, sizeof(data), file));
    fclose(file);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;

    for (int i = 1; i < argc; i++)
        failed |= fuzz_replay(argv[i]);
    printf("%d inputs replayed\n", argc - 1);
    return failed;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_run(data, size);
    return 0;
}

#endif

#endif
