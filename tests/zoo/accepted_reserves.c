// kv_open reserves 64 GiB of addresses and puts nothing there: accepted, because what is limited is data. Only where it runs at the lowest
// priority: so do trials.
#define _DEFAULT_SOURCE
#define kv_open good_open
#include "engine.c"
#undef kv_open
#include <sys/mman.h>
#include <sys/resource.h>

KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    size_t len = (size_t)64 << 30;
    void *place = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) return fail(error, KV_STATUS_FULL, "no addresses");
    munmap(place, len);
    if (getpriority(PRIO_PROCESS, 0) != 19) return fail(error, KV_STATUS_UNAVAILABLE, "not at the lowest priority");
    return good_open(args, engine, error);
}
