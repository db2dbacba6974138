// @name@: a storage engine for kvstore, in C. Builds libkvstore_@ident@.so (make, make check).
//
// It works as it is. What to change first:
//
// 1. `struct kv_engine` and what is between it and kv_open: where entries are kept. Here it is an array in the order of the keys, so
//    that a scan goes on behind a key whatever was written meanwhile; each new key moves what stands behind it.
// 2. `kv_abi`: what this engine promises. It does not say KV_CAP_THREAD_SAFE, so the host makes one call at a time. The host
//    relies on each bit, and does without those that are missing; say only what `make check` shows.
// 3. The functions at the end: an optional one is exported by writing it, as kvstore.h declares it. kv_update, and kv_submit with
//    KV_CAP_ATOMIC, are worth the most.
// 4. The options in kv_open.
//
// kvstore.h says of each function who calls it and what it may keep; docs/engines.md of kvstore has the rules, and a checklist.

#include "kvstore.h"
#include <stdlib.h>
#include <string.h>

#define KEY_LEN_MAX 65536        // a cursor holds a key
#define STEP_BYTES_MAX (1 << 20) // of values, in a step of a scan

typedef struct entry {
    uint32_t type, flags;
    size_t key_len, value_len;
    uint8_t bytes[]; // the key, then the value
} entry;

// Nothing of an instance is in statics: several can be open at once.
struct kv_engine {
    entry **entries; // in the order of their keys
    size_t count, capacity;
};

// A constant with an initializer: it is read from the file before any code of it runs.
const kv_identity kv_abi = {
    .magic = KV_ABI_MAGIC,
    .abi_major = KV_ABI_MAJOR,
    .abi_minor = KV_ABI_MINOR,
    .struct_size = sizeof(kv_identity),
    // SCRATCH: kv_open can be tried without touching anything; without it nobody can check this engine.
    // TYPES: type and flags of an entry are kept.
    .capabilities = KV_CAP_SCRATCH | KV_CAP_TYPES,
    .key_len_max = KEY_LEN_MAX,
    .name = "@name@",
    .version = "0.1.0",
};

// A status tells the host what to do, the text tells a person why.
static kv_status fail(kv_error *error, kv_status status, const char *text) {
    if (error == NULL || error->capacity == 0) return status; // nobody wants to know
    size_t len = strlen(text);
    error->len = len < error->capacity ? (uint32_t)len : error->capacity;
    memcpy(error->text, text, error->len);
    return status;
}

// Refuses what this engine cannot do. First of all in every operation.
static kv_status check(const kv_op *op, uint32_t known_flags, kv_error *error) {
    if (op->flags & ~(known_flags | KV_OP_HINTS)) return fail(error, KV_STATUS_INVALID, "unknown flag");
    if (op->space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only keyspace 0");
    if (op->key.len > KEY_LEN_MAX) return fail(error, KV_STATUS_TOO_LARGE, "a key has at most 65536 bytes");
    if (op->kind == KV_OP_SET && op->expiry_ms != 0)
        return fail(error, KV_STATUS_UNSUPPORTED, "entries do not expire here");
    return KV_STATUS_OK;
}

static int compare(kv_bytes key, const entry *one) {
    size_t len = key.len < one->key_len ? key.len : one->key_len;
    int order = len == 0 ? 0 : memcmp(key.data, one->bytes, len); // `data` may be NULL where there are no bytes
    return order != 0 ? order : (key.len > one->key_len) - (key.len < one->key_len);
}

// The place of the first entry that does not stand before the key; `found` says whether it is the key's own.
static size_t find(const kv_engine *engine, kv_bytes key, int *found) {
    size_t low = 0, high = engine->count;
    *found = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(key, engine->entries[middle]);
        if (order == 0) *found = 1;
        if (order <= 0) high = middle;
        else low = middle + 1;
    }
    return low;
}

// `sink` never calls back; what it is shown has to stay only until it returns.
static void lend(const entry *one, kv_entry_fn sink, void *sink_ctx) {
    kv_entry lent = {
        .key = { one->bytes, one->key_len },
        .value = { one->bytes + one->key_len, one->value_len },
        .type = one->type,
        .flags = one->flags,
    };
    sink(sink_ctx, &lent);
}

kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
    // With KV_OPEN_SCRATCH this is a trial: use nothing but memory and `scratch_dir`, no configured file or address.
    if (args->flags & ~(uint32_t)KV_OPEN_SCRATCH) return fail(error, KV_STATUS_INVALID, "unknown open flag");
    if (args->option_count != 0) return fail(error, KV_STATUS_INVALID, "unknown option; known options: none");
    if (args->state != NULL) return fail(error, KV_STATUS_INVALID, "no state can be taken over here");
    *engine = calloc(1, sizeof **engine);
    return *engine != NULL ? KV_STATUS_OK : fail(error, KV_STATUS_FULL, "no memory");
}

// Frees all: the library is unmapped afterwards. An engine with threads joins them here.
kv_status kv_close(kv_engine *engine, kv_error *error) {
    (void)error; // nothing can go wrong
    for (size_t i = 0; i < engine->count; i++) free(engine->entries[i]);
    free(engine->entries);
    free(engine);
    return KV_STATUS_OK;
}

kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    kv_status status = check(op, KV_OP_NO_VALUE, error);
    if (status != KV_STATUS_OK) return status;
    int found;
    size_t at = find(engine, op->key, &found);
    if (!found) return KV_STATUS_NOT_FOUND;
    lend(engine->entries[at], sink, sink_ctx);
    return KV_STATUS_OK;
}

// Without memory for an entry nothing has changed.
kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    kv_status status = check(op, 0, error);
    if (status != KV_STATUS_OK) return status;
    int found;
    size_t at = find(engine, op->key, &found);
    if (!found && engine->count == engine->capacity) {
        size_t capacity = engine->capacity == 0 ? 64 : 2 * engine->capacity;
        entry **entries = realloc(engine->entries, capacity * sizeof *entries);
        if (entries == NULL) return fail(error, KV_STATUS_FULL, "no memory");
        engine->entries = entries;
        engine->capacity = capacity;
    }
    entry *fresh = malloc(sizeof *fresh + op->key.len + op->value.len);
    if (fresh == NULL) return fail(error, KV_STATUS_FULL, "no memory");
    *fresh = (entry){ op->type, op->entry_flags, op->key.len, op->value.len };
    if (op->key.len > 0) memcpy(fresh->bytes, op->key.data, op->key.len);
    if (op->value.len > 0) memcpy(fresh->bytes + op->key.len, op->value.data, op->value.len);
    if (found) {
        free(engine->entries[at]);
    } else {
        memmove(&engine->entries[at + 1], &engine->entries[at], (engine->count - at) * sizeof fresh);
        engine->count++;
    }
    engine->entries[at] = fresh;
    if (version != NULL) *version = 0; // no versions
    return KV_STATUS_OK;
}

kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {
    kv_status status = check(op, 0, error);
    if (status != KV_STATUS_OK) return status;
    int found;
    size_t at = find(engine, op->key, &found);
    if (!found) return KV_STATUS_NOT_FOUND;
    free(engine->entries[at]);
    engine->count--;
    memmove(&engine->entries[at], &engine->entries[at + 1], (engine->count - at) * sizeof(entry *));
    return KV_STATUS_OK;
}

// Without it the data could never leave this engine again. The cursor is a byte, so that it is never empty, and the last key lent.
// Up to 6 bytes would be better: clients' cursors can hold those, and the host has to remember others for them.
kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count, kv_cursor *cursor,
                  kv_entry_fn sink, void *sink_ctx, kv_error *error) {
    if (flags & ~(uint32_t)KV_OP_NO_VALUE) return fail(error, KV_STATUS_INVALID, "unknown flag");
    if (space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only keyspace 0");
    size_t at = 0, bytes = 0;
    if (cursor->len > 0) { // it may come from a client
        if (cursor->bytes[0] != 1) return fail(error, KV_STATUS_INVALID, "this cursor is none of mine");
        int found;
        at = find(engine, (kv_bytes){ cursor->bytes + 1, cursor->len - 1 }, &found);
        if (found) at++;
    }
    cursor->len = 0;
    for (uint32_t lent = 0; at < engine->count; at++) {
        const entry *one = engine->entries[at];
        lend(one, sink, sink_ctx);
        if (!(flags & KV_OP_NO_VALUE)) bytes += one->value_len;
        if (++lent < count && bytes < STEP_BYTES_MAX) continue;
        cursor->bytes[0] = 1;
        memcpy(cursor->bytes + 1, one->bytes, one->key_len);
        cursor->len = 1 + (uint32_t)one->key_len;
        break;
    }
    return KV_STATUS_OK;
}
