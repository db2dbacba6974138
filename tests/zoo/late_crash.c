// kv_set leaves the calling thread a destructor that nothing keeps in memory: a thread that ends after the unload crashes.
#define kv_set good_set
#include "engine.c"
#undef kv_set
#include <pthread.h>

static pthread_key_t key;

static void end(void *nothing) { (void)nothing; }

__attribute__((constructor)) static void start(void) { pthread_key_create(&key, end); }

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    pthread_setspecific(key, &key);
    return good_set(engine, op, version, error);
}
