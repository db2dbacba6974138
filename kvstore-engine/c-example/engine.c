// A whole storage engine for kvstore on a page: a hash table with chains, in memory. Build it, from this directory, with
//
//     gcc -std=c11 -Wall -Wextra -O2 -fPIC -shared -fvisibility=hidden -I../../plugin-abi/include -o libkvstore_c.so engine.c
//
// It has no threads, locks, expiry or versions. It does not say KV_CAP_THREAD_SAFE, so the host makes one call at a time
// and holds its lock until a lent value has been read. What it lacks the host does, or refuses with an error that names it.

#include "kvstore.h"
#include <stdlib.h>
#include <string.h>

typedef struct node {
    struct node *next; // in the same bucket
    uint32_t hash, type, flags;
    size_t key_len, value_len;
    uint8_t bytes[]; // the key, then the value
} node;

// An entry is in the bucket that the top `bits` bits of its hash name. So the buckets are in the order of the hashes, and
// stay so when their number doubles or halves: a scan that has returned all hashes below N goes on at N.
struct kv_engine {
    node **buckets;
    unsigned bits;
    size_t bucket_count, count;
};

const kv_identity kv_abi = {
    .magic = KV_ABI_MAGIC, .abi_major = KV_ABI_MAJOR, .abi_minor = KV_ABI_MINOR, .struct_size = sizeof(kv_identity),
    .capabilities = KV_CAP_SCRATCH | KV_CAP_TYPES, .name = "c-example", .version = "0.1.0",
};

static kv_status fail(kv_error *error, kv_status status, const char *text) {
    if (error == NULL || error->capacity == 0) return status; // nobody wants to know
    size_t len = strlen(text);
    error->len = len < error->capacity ? (uint32_t)len : error->capacity;
    memcpy(error->text, text, error->len);
    return status;
}

static kv_status check(const kv_op *op, uint32_t known_flags, kv_error *error) {
    if (op->flags & ~(known_flags | KV_OP_HINTS)) return fail(error, KV_STATUS_INVALID, "unknown flag");
    if (op->space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only keyspace 0");
    if (op->kind == KV_OP_SET && op->expiry_ms != 0) return fail(error, KV_STATUS_UNSUPPORTED, "entries do not expire here");
    return KV_STATUS_OK;
}

// FNV-1a with its bits mixed once more. Good for trusted keys only: whoever chooses the keys can make them collide.
static uint32_t hash_of(kv_bytes key) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < key.len; i++) hash = (hash ^ key.data[i]) * 0x100000001b3;
    return (uint32_t)((hash ^ hash >> 32) * 0x9e3779b97f4a7c15 >> 32);
}

// The place of the pointer to the key's node or, if it has none, of the NULL at the end of its chain.
static node **find(kv_engine *engine, kv_bytes key, uint32_t hash) {
    node **at = &engine->buckets[hash >> (32 - engine->bits)];
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->key_len == key.len && (key.len == 0 || memcmp((*at)->bytes, key.data, key.len) == 0)) break;
    return at;
}

// Returns 0 without memory for it. A table that is there then stays as it is: its chains get longer, and all still works.
static int resize(kv_engine *engine, unsigned bits) {
    if (bits < 4 || bits > 31) return 0;
    node **buckets = calloc((size_t)1 << bits, sizeof *buckets), *next;
    if (buckets == NULL) return 0;
    for (size_t i = 0; i < engine->bucket_count; i++)
        for (node *one = engine->buckets[i]; one != NULL; one = next) {
            node **to = &buckets[one->hash >> (32 - bits)];
            next = one->next;
            one->next = *to;
            *to = one;
        }
    free(engine->buckets);
    engine->buckets = buckets;
    engine->bits = bits;
    engine->bucket_count = (size_t)1 << bits;
    return 1;
}

static void lend(const node *one, kv_entry_fn sink, void *sink_ctx) {
    kv_bytes key = { one->bytes, one->key_len }, value = { one->bytes + one->key_len, one->value_len };
    sink(sink_ctx, &(kv_entry){ .key = key, .value = value, .type = one->type, .flags = one->flags });
}

kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    if (args->flags & ~(uint32_t)KV_OPEN_SCRATCH) return fail(error, KV_STATUS_INVALID, "unknown open flag");
    if (args->option_count != 0) return fail(error, KV_STATUS_INVALID, "unknown option; known options: none");
    if (args->state != NULL) return fail(error, KV_STATUS_INVALID, "no state can be taken over here");
    *engine = calloc(1, sizeof **engine);
    if (*engine != NULL && resize(*engine, 4)) return KV_STATUS_OK;
    free(*engine);
    return fail(error, KV_STATUS_FULL, "no memory");
}

kv_status kv_close(kv_engine *engine, kv_error *error) {
    (void)error; // nothing can go wrong
    for (size_t i = 0; i < engine->bucket_count; i++)
        for (node *one = engine->buckets[i], *next; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    free(engine->buckets);
    free(engine);
    return KV_STATUS_OK;
}

kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    kv_status status = check(op, KV_OP_NO_VALUE, error);
    if (status != KV_STATUS_OK) return status;
    const node *found = *find(engine, op->key, hash_of(op->key));
    if (found == NULL) return KV_STATUS_NOT_FOUND;
    lend(found, sink, sink_ctx); // NO_VALUE would save nothing: the value is lent where it lies
    return KV_STATUS_OK;
}

kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    kv_status status = check(op, 0, error);
    if (status != KV_STATUS_OK) return status;
    node *fresh = malloc(sizeof *fresh + op->key.len + op->value.len);
    if (fresh == NULL) return fail(error, KV_STATUS_FULL, "no memory"); // and what was there stays
    uint32_t hash = hash_of(op->key);
    node **at = find(engine, op->key, hash), *old = *at;
    *fresh = (node){ old ? old->next : NULL, hash, op->type, op->entry_flags, op->key.len, op->value.len };
    if (op->key.len > 0) memcpy(fresh->bytes, op->key.data, op->key.len);
    if (op->value.len > 0) memcpy(fresh->bytes + op->key.len, op->value.data, op->value.len);
    *at = fresh;
    free(old);
    if (old == NULL && ++engine->count > engine->bucket_count) resize(engine, engine->bits + 1);
    if (version != NULL) *version = 0; // no versions
    return KV_STATUS_OK;
}

kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {
    kv_status status = check(op, 0, error);
    if (status != KV_STATUS_OK) return status;
    node **at = find(engine, op->key, hash_of(op->key)), *old = *at;
    if (old == NULL) return KV_STATUS_NOT_FOUND;
    *at = old->next;
    free(old);
    if (--engine->count < engine->bucket_count / 8) resize(engine, engine->bits - 1);
    return KV_STATUS_OK;
}

// The cursor is four bytes, a hash: all entries with lower ones have been returned.
kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count, kv_cursor *cursor,
                  kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    uint32_t from = 0, lent = 0;
    size_t lent_bytes = 0;
    if (flags & ~(uint32_t)KV_OP_NO_VALUE) return fail(error, KV_STATUS_INVALID, "unknown flag");
    if (space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only keyspace 0");
    if (cursor->len != 0 && cursor->len != sizeof from) return fail(error, KV_STATUS_INVALID, "this cursor is none of mine");
    memcpy(&from, cursor->bytes, cursor->len);
    size_t bucket = from >> (32 - engine->bits);
    for (; bucket < engine->bucket_count && (lent < count || lent == 0) && lent_bytes < 1 << 20; bucket++)
        for (const node *one = engine->buckets[bucket]; one != NULL; one = one->next)
            if (one->hash >= from) { // else it was returned when there were more buckets
                lend(one, sink, sink_ctx);
                lent++;
                if (!(flags & KV_OP_NO_VALUE)) lent_bytes += one->value_len;
            }
    from = (uint32_t)(bucket << (32 - engine->bits)); // 0 behind the last bucket
    cursor->len = from == 0 ? 0 : sizeof from;
    memcpy(cursor->bytes, &from, cursor->len);
    return KV_STATUS_OK;
}
