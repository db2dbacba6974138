// kv_open does not return while the file GATE is there, unless it is a trial.
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <unistd.h>

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    while (!(args->flags & KV_OPEN_SCRATCH) && access(GATE, F_OK) == 0) usleep(1000);
    return good_open(args, engine, error);
}
