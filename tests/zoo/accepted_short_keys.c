// Takes keys of 16 bytes at most, and says so: accepted, unless a live key is longer.
#define kv_set good_set
#define kv_abi good_abi
#include "engine.c"
#undef kv_set
#undef kv_abi

KV_EXPORT const kv_identity kv_abi = {
    .magic = KV_ABI_MAGIC, .abi_major = KV_ABI_MAJOR, .abi_minor = KV_ABI_MINOR, .struct_size = sizeof(kv_identity),
    .capabilities = KV_CAP_SCRATCH | KV_CAP_TYPES, .key_len_max = 16, .name = "short-keys", .version = "0.1.0",
};

KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
    return op->key.len > 16 ? KV_STATUS_TOO_LARGE : good_set(engine, op, version, error);
}
