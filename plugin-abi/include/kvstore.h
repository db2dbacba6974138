// kvstore.h: the contract between the kvstore host and a storage engine.
//
// Generated from plugin-abi/src/raw by scripts/header. Do not edit.
//
// AN ENGINE is a shared library that keeps entries: keys with values. The host loads it at run
// time, puts a server around it (network, commands, metrics, reload), and calls the functions
// below. An engine exports the constant `kv_abi`, which says what it is, and at least kv_open,
// kv_close, kv_get, kv_set and kv_delete. Every other function is optional: the host looks which
// ones are there (`nm -D` shows them), so export only what works. kv_scan is worth having even in
// a small engine: without it the data cannot leave the engine again.
//
// THE SMALLEST ENGINE, which holds one entry:
//
//     #include "kvstore.h"
//     #include <stdlib.h>
//     #include <string.h>
//
//     struct kv_engine { size_t key_len, value_len; int full; char key[64], value[64]; };
//
//     const kv_identity kv_abi = {
//         .magic = KV_ABI_MAGIC, .abi_major = KV_ABI_MAJOR, .abi_minor = KV_ABI_MINOR,
//         .struct_size = sizeof(kv_identity), .capabilities = 0,
//         .key_len_max = 64, .value_len_max = 64, .name = "smallest", .version = "1.0.0",
//     };
//
//     kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
//         (void)error;
//         if (args->flags != 0 || args->option_count != 0) return KV_STATUS_INVALID;
//         *engine = calloc(1, sizeof(**engine));
//         return *engine ? KV_STATUS_OK : KV_STATUS_FULL;
//     }
//
//     kv_status kv_close(kv_engine *engine, kv_error *error) {
//         (void)error;
//         free(engine);
//         return KV_STATUS_OK;
//     }
//
//     static int is_there(const kv_engine *engine, const kv_op *op) {
//         return engine->full && engine->key_len == op->key.len
//             && (op->key.len == 0 || memcmp(engine->key, op->key.data, op->key.len) == 0);
//     }
//
//     kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx,
//                      kv_error *error) {
//         (void)error;
//         if (op->flags & ~KV_OP_NO_VALUE) return KV_STATUS_INVALID;
//         if (op->space != 0) return KV_STATUS_UNSUPPORTED;
//         if (!is_there(engine, op)) return KV_STATUS_NOT_FOUND;
//         kv_entry entry = {0};
//         entry.value.data = (const uint8_t *)engine->value;
//         entry.value.len = engine->value_len;
//         sink(sink_ctx, &entry);
//         return KV_STATUS_OK;
//     }
//
//     kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
//         (void)error;
//         if (op->flags != 0) return KV_STATUS_INVALID;
//         if (op->space != 0 || op->expiry_ms != 0 || op->type != 0 || op->entry_flags != 0)
//             return KV_STATUS_UNSUPPORTED;
//         if (op->key.len > 64 || op->value.len > 64) return KV_STATUS_TOO_LARGE;
//         if (engine->full && !is_there(engine, op)) return KV_STATUS_FULL;
//         if (op->key.len > 0) memcpy(engine->key, op->key.data, op->key.len);
//         if (op->value.len > 0) memcpy(engine->value, op->value.data, op->value.len);
//         engine->key_len = op->key.len;
//         engine->value_len = op->value.len;
//         engine->full = 1;
//         if (version) *version = 0;
//         return KV_STATUS_OK;
//     }
//
//     kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {
//         (void)error;
//         if (op->flags != 0) return KV_STATUS_INVALID;
//         if (op->space != 0) return KV_STATUS_UNSUPPORTED;
//         if (!is_there(engine, op)) return KV_STATUS_NOT_FOUND;
//         engine->full = 0;
//         return KV_STATUS_OK;
//     }
//
// BUILD: gcc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -Iplugin-abi/include smallest.c
//            -o libsmallest.so (one line)
// CHECK: kvstore-host check ./libsmallest.so runs the conformance suite on it.
// RUN:   kvstore-host --engine ./libsmallest.so, or ENGINE RELOAD /path/libsmallest.so while the
//        host serves from another engine.
//
// THREADS. kv_open, kv_close and the handoff functions are called on threads made for them, one
// call at a time. All other calls come one at a time, from changing threads, unless the engine
// says KV_CAP_THREAD_SAFE: then they come from many threads at once. An engine that waits for a
// disk or a network says KV_CAP_BLOCKING, or exports kv_submit and completes later. An engine that
// starts threads joins them in kv_close. A library is unmapped while the host's threads live on, so
// it leaves nothing on them: no thread-locals with destructors.
//
// OWNERSHIP. Whoever allocated memory frees it; nothing is handed over. What an argument points to
// is lent for the call, and copied if it is to stay. What the engine lends to a sink stays valid
// during the sink's call. The exceptions are told where they are made: the host's services, the
// batch of kv_submit, pinned results, the state of a handoff.
//
// ERRORS. A status tells the host what to do; the text in `error` (which may be NULL) tells a
// person why. A failure has had no effect unless its status says "outcome unknown". No exception,
// panic or longjmp may leave the engine, nor pass through a sink or the host's services.
//
// GROWTH. A struct that may grow begins with `struct_size` or is reached by a stride; fields are
// only ever added at its end. Reserved fields are 0 when written and not looked at when read.
// Unknown flags are refused with KV_STATUS_INVALID.

#ifndef KVSTORE_H
#define KVSTORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Makes a symbol visible in a library that is built with -fvisibility=hidden.
#define KV_EXPORT __attribute__((visibility("default")))

// One open instance of an engine: whatever the engine makes of it. Define `struct kv_engine` as
// you like.
typedef struct kv_engine kv_engine;

// -------------------------------------------------------------------------------------------------
// Status codes: zero is success, positive is an ordinary answer, negative is a failure.
// -------------------------------------------------------------------------------------------------

// Done.
#define KV_STATUS_OK 0

// The key has no entry, or its entry has expired.
#define KV_STATUS_NOT_FOUND 1

// The entry's version is not the expected one. No effect; in an atomic batch, on no key of it.
#define KV_STATUS_CONFLICT 2

// Another operation of the same atomic batch failed, so this one had no effect either.
#define KV_STATUS_ABORTED 3

// The caller broke the contract, or an option is unknown or malformed. The error text says which.
#define KV_STATUS_INVALID (-1)

// The engine cannot do this at all. Asking again is of no use.
#define KV_STATUS_UNSUPPORTED (-2)

// A key, a value or a batch is beyond a limit of the engine.
#define KV_STATUS_TOO_LARGE (-3)

// No room is left: memory limit or disk.
#define KV_STATUS_FULL (-4)

// What the engine stands on (another machine, a disk) is out of reach. No effect; it may work
// later.
#define KV_STATUS_UNAVAILABLE (-5)

// A passing collision. No effect; the same call may succeed at once.
#define KV_STATUS_RETRY (-6)

// The deadline passed before the operation began. No effect. (After it began: KV_STATUS_UNKNOWN.)
#define KV_STATUS_TIMEOUT (-7)

// Withdrawn by kv_cancel or by kv_close before it began. No effect.
#define KV_STATUS_CANCELLED (-8)

// Outcome unknown: the operation may or may not have taken effect, now or a little later.
#define KV_STATUS_UNKNOWN (-9)

// A read or write of a file or socket failed. Outcome unknown.
#define KV_STATUS_IO (-10)

// Stored data fails its check. No effect.
#define KV_STATUS_CORRUPT (-11)

// Another process or instance holds the resource (kv_open, handoff). No effect.
#define KV_STATUS_LOCKED (-12)

// The engine may only be read. No effect.
#define KV_STATUS_READ_ONLY (-13)

// What the engine stands on refused the engine's credentials. No effect.
#define KV_STATUS_DENIED (-14)

// The engine panicked in this call; it answers KV_STATUS_POISONED from now on. Outcome unknown.
#define KV_STATUS_PANIC (-15)

// The engine panicked earlier and does nothing any more but close. No effect.
#define KV_STATUS_POISONED (-16)

// What every call returns. A failure has had no effect, unless its description says "outcome
// unknown".
typedef int32_t kv_status;

// -------------------------------------------------------------------------------------------------
// The constant by which a library says what it is, read from the file before any code of it runs.
// -------------------------------------------------------------------------------------------------

// First bytes of every identity.
#define KV_ABI_MAGIC "KVSTORE"

// Must be equal on both sides. 0: the contract may still change with any version, so the minor must
// be equal too.
#define KV_ABI_MAJOR 0

// Grows with every addition.
#define KV_ABI_MINOR 1

// Calls may come from several threads at once. Else the host holds one lock over every call,
// through the lent value too.
#define KV_CAP_THREAD_SAFE (1ull << 0)

// Calls other than kv_submit may wait for a disk or another machine: they are made from a pool,
// never from an event loop.
#define KV_CAP_BLOCKING (1ull << 1)

// Entries can expire.
#define KV_CAP_EXPIRY (1ull << 2)

// Entries have versions, and KV_OP_EXPECT and KV_OP_IMPORT work.
#define KV_CAP_VERSIONS (1ull << 3)

// Others than this host can change the entries.
#define KV_CAP_EXTERNAL_WRITERS (1ull << 4)

// What was acknowledged survives the end of the process.
#define KV_CAP_DURABLE (1ull << 5)

// kv_submit takes KV_BATCH_ATOMIC.
#define KV_CAP_ATOMIC (1ull << 6)

// kv_open takes KV_OPEN_SCRATCH.
#define KV_CAP_SCRATCH (1ull << 7)

// The type of the data symbol `kv_abi`. Texts end with a NUL and are filled up with NULs. It holds
// no addresses, so its bytes in the file are its value.
typedef struct kv_identity {
    // KV_ABI_MAGIC.
    char magic[8];
    // KV_ABI_MAJOR at the time of the build.
    uint32_t abi_major;
    // KV_ABI_MINOR at the time of the build.
    uint32_t abi_minor;
    // sizeof(kv_identity) at the time of the build.
    uint32_t struct_size;
    // Version of the state format; 0: the state cannot be adopted or reopened by anybody.
    uint32_t state_version;
    // KV_CAP_* together.
    uint64_t capabilities;
    // Longest key in bytes; 0: no limit of its own.
    uint64_t key_len_max;
    // Longest value in bytes; 0: no limit of its own.
    uint64_t value_len_max;
    // Most operations in a batch; 0: no limit of its own.
    uint64_t batch_len_max;
    // What the engine is called: `memory`.
    char name[32];
    // Version of the engine: `1.2.3`.
    char version[32];
    // What the layout of the state is called; same name and version: one can take over from the
    // other.
    char state_format[32];
} kv_identity;

// -------------------------------------------------------------------------------------------------
// Entries and the pieces that they are made of.
// -------------------------------------------------------------------------------------------------

// The largest cursor, in bytes: a key of 64 KiB and some more. An engine does well with 6 bytes or
// fewer: then a client's numeric cursor carries them, and the host has nothing to remember.
#define KV_CURSOR_LEN_MAX (65536 + 64)

// kv_stats: a number that only grows.
#define KV_STAT_COUNTER 1

// kv_stats: a number that goes up and down.
#define KV_STAT_GAUGE 2

// kv_stats: a text.
#define KV_STAT_TEXT 3

// Bytes that belong to someone else. `data` may be NULL where `len` is 0.
typedef struct kv_bytes {
    // First byte.
    const uint8_t *data;
    // Number of bytes.
    size_t len;
} kv_bytes;

// A key with all that is stored under it. Frozen with the ABI's major version.
typedef struct kv_entry {
    // The key. In the answer to a get it may be left empty: the host knows what it asked for.
    kv_bytes key;
    // The value. After KV_OP_NO_VALUE `data` may be NULL while `len` still is the value's true
    // length.
    kv_bytes value;
    // When the entry expires, in milliseconds since 1970 UTC; 0 is never. From that moment on
    // nobody sees the entry.
    int64_t expiry_ms;
    // From one sequence of the store that never gives a number twice; higher is later. 0: the
    // engine keeps no versions (or, as an expected version, "no entry").
    uint64_t version;
    // What kind of value this is: 0 is a string. Stored and given back, not interpreted, by the
    // engine.
    uint32_t type;
    // For the host, stored and given back with the entry. An engine that cannot store type and
    // flags refuses anything but 0 and 0 with KV_STATUS_UNSUPPORTED.
    uint32_t flags;
} kv_entry;

// Takes one entry, lent for the time of the call: what is to stay is copied. `ctx` is what the
// caller gave beside the function. It never calls the engine, never blocks, never unwinds.
typedef void (*kv_entry_fn)(void *ctx, const kv_entry *entry);

// Room for an error text, the caller's. The engine writes at most `capacity` bytes of UTF-8,
// without a NUL, and sets `len`. The caller sets `len` to 0 before the call. Pointers to this type
// may be NULL: nobody wants to know.
typedef struct kv_error {
    // The caller's buffer.
    char *text;
    // Its size in bytes.
    uint32_t capacity;
    // Bytes written.
    uint32_t len;
} kv_error;

// Where a scan stands: bytes that only the engine understands. `len` 0 starts a scan and, after a
// call, ends it. The buffer is the host's and has room for KV_CURSOR_LEN_MAX bytes.
typedef struct kv_cursor {
    // The host's buffer.
    uint8_t *bytes;
    // Bytes in use.
    uint32_t len;
    // Size of the buffer.
    uint32_t capacity;
} kv_cursor;

// One figure that an engine tells of itself. Names are lower case with underscores, the unit last:
// `memory_bytes`.
typedef struct kv_stat {
    // What it is called; unique in the engine.
    kv_bytes name;
    // One of KV_STAT_COUNTER, KV_STAT_GAUGE, KV_STAT_TEXT.
    uint32_t kind;
    // 0.
    uint32_t reserved;
    // The number, of a counter or gauge.
    int64_t number;
    // The text, of a text.
    kv_bytes text;
} kv_stat;

// Takes one figure, lent for the time of the call. The rules of kv_entry_fn hold.
typedef void (*kv_stat_fn)(void *ctx, const kv_stat *stat);

// -------------------------------------------------------------------------------------------------
// Operations, alone and in batches, and their results.
// -------------------------------------------------------------------------------------------------

// Read an entry. NOT_FOUND where there is none.
#define KV_OP_GET 1

// Store an entry over whatever was there.
#define KV_OP_SET 2

// Remove an entry. NOT_FOUND where there is none.
#define KV_OP_DELETE 3

// Let `update` decide on the entry, atomically. Only for engines that export kv_update.
#define KV_OP_UPDATE 4

// GET: the value itself is not wanted, only its length and what else the entry has.
#define KV_OP_NO_VALUE (1u << 0)

// Any kind: go on only if the entry's version is `expected_version` (0: only if there is no entry),
// else CONFLICT. A GET with this flag is how an atomic batch watches a key that it does not write.
// Only for engines with KV_CAP_VERSIONS.
#define KV_OP_EXPECT (1u << 1)

// SET: store `version` as the entry's version and continue the store's sequence above it. Sent
// while entries are copied from another engine. Only for engines with KV_CAP_VERSIONS.
#define KV_OP_IMPORT (1u << 2)

// What an update may do with the entry that it was shown.
#define KV_DECISION_KEEP 0

// Store `value`, `expiry_ms`, `type` and `flags`.
#define KV_DECISION_REPLACE 1

// Remove the entry; nothing where there is none.
#define KV_DECISION_REMOVE 2

// Only the expiry changes, to `expiry_ms`. The entry exists.
#define KV_DECISION_SET_EXPIRY 3

// The value becomes `new_len` bytes long (what is cut off is gone, what is added is zero), then
// `value` is written at `offset`; offset + value.len <= new_len. Expiry, type and flags stay; an
// entry that was absent starts empty, without expiry, with `type` and `flags` from here.
#define KV_DECISION_PATCH 4

// The lent bytes of this result stay valid until kv_release of the batch, not only during the
// completion call.
#define KV_RESULT_PINNED (1u << 0)

// All operations or none: if one cannot be carried out, none has an effect, it says why, and the
// others say ABORTED (a GET that merely finds nothing, a DELETE of nothing and an update that keeps
// are carried out). To every other client the batch happens at one moment, and its own reads see
// its earlier writes. Only for engines with KV_CAP_ATOMIC.
#define KV_BATCH_ATOMIC (1u << 0)

// What `update` answers. The engine sets `struct_size` and clears the rest, which is KEEP.
typedef struct kv_decision {
    // Size of this struct as the engine knows it, in bytes.
    uint32_t struct_size;
    // One of KV_DECISION_*.
    uint32_t action;
    // REPLACE, PATCH of an absent entry: the entry's type.
    uint32_t type;
    // REPLACE, PATCH of an absent entry: the entry's flags.
    uint32_t flags;
    // REPLACE, SET_EXPIRY: milliseconds since 1970 UTC, 0 is never.
    int64_t expiry_ms;
    // REPLACE: the new value. PATCH: the bytes to write. They stay valid until `update` is called
    // again for the same operation, or the operation is completed.
    kv_bytes value;
    // PATCH: where to write, in bytes.
    uint64_t offset;
    // PATCH: the value's length afterwards, in bytes.
    uint64_t new_len;
} kv_decision;

// Decides on one entry: a pure function of `current` (NULL: there is none) and of what `ctx` holds.
// The engine may call it again when it has to start over, from any one thread at a time, and only
// the last call counts. It may be called under the engine's locks: it never calls the engine, never
// blocks, never unwinds, keeps no pointer of `current`. `current` is never an expired entry.
typedef void (*kv_update_fn)(void *ctx, const kv_entry *current, kv_decision *decision);

// One operation. Its memory is the host's; it does not move or change until the operation is
// completed. In an array the stride is told, so that later versions can append fields.
typedef struct kv_op {
    // One of KV_OP_GET, SET, DELETE, UPDATE.
    uint32_t kind;
    // KV_OP_NO_VALUE, EXPECT, IMPORT. A flag that the engine does not know is INVALID.
    uint32_t flags;
    // Which keyspace. 0 for now; an engine answers UNSUPPORTED to any that it does not have.
    uint32_t space;
    // SET: the entry's type.
    uint32_t type;
    // SET: the entry's flags.
    uint32_t entry_flags;
    // 0.
    uint32_t reserved;
    // The key, at least 0 and at most `key_len_max` bytes.
    kv_bytes key;
    // SET: the value.
    kv_bytes value;
    // SET: when it expires, in milliseconds since 1970 UTC; 0 is never. Other than 0 only for
    // KV_CAP_EXPIRY.
    int64_t expiry_ms;
    // With KV_OP_EXPECT: the version that the entry must have, 0 for no entry.
    uint64_t expected_version;
    // With KV_OP_IMPORT: the version to store.
    uint64_t version;
    // UPDATE: the function, else NULL.
    kv_update_fn update;
    // UPDATE: handed to the function.
    void *update_ctx;
} kv_op;

// What came of one operation. The array is the host's; the engine fills an element before it
// completes it.
typedef struct kv_result {
    // OK, NOT_FOUND, CONFLICT, ABORTED or a failure.
    kv_status status;
    // KV_RESULT_PINNED.
    uint32_t flags;
    // GET, OK: the entry. SET and UPDATE, OK: `version` and `expiry_ms` of what is stored now
    // (version 0: nothing is, or the engine keeps none); the bytes are not set.
    kv_entry entry;
    // A failure's text, UTF-8; may be empty. Lent like the entry.
    kv_bytes message;
} kv_result;

// An array of operations for kv_submit. The struct, the operations, their keys and values, and the
// results are the host's. None of them moves or changes until the last operation is completed; from
// that moment on the engine touches none of them (before kv_release, where it pinned).
//
// Without KV_BATCH_ATOMIC, operations on the same key take effect in the order of the array; others
// in any order.
typedef struct kv_batch {
    // Size of this struct as the host knows it, in bytes.
    uint32_t struct_size;
    // KV_BATCH_ATOMIC. A flag that the engine does not know is INVALID.
    uint32_t flags;
    // The operations.
    const kv_op *ops;
    // Their results, one for one.
    kv_result *results;
    // How many there are, at most `batch_len_max` of the engine's identity.
    uint32_t count;
    // Bytes from one operation to the next.
    uint32_t op_stride;
    // Bytes from one result to the next.
    uint32_t result_stride;
    // 0.
    uint32_t reserved;
    // The time for expiry in this batch, in milliseconds since 1970 UTC: saves the engine a look at
    // the clock.
    int64_t now_ms;
    // When the host will have lost interest, on the clock `monotonic_ns`; 0 is never.
    uint64_t deadline_ns;
    // The engine's own, from kv_submit until the last completion (or kv_release); cleared by the
    // host.
    size_t engine_data[2];
    // The host's own. Not to be touched.
    void *host_data;
} kv_batch;

// -------------------------------------------------------------------------------------------------
// What one engine hands to the next without copying entries.
// -------------------------------------------------------------------------------------------------

// The next engine takes the state over where it lies in memory.
#define KV_HANDOFF_ADOPT 1

// The next engine opens the same files or segment; this one lets go of them first.
#define KV_HANDOFF_REOPEN 2

// Writers outside of this host are held off while the host copies. Reads and scans go on.
#define KV_HANDOFF_FREEZE 3

// One mapping, or one file descriptor, of the state. The mapping was made with mmap and never by an
// allocator, so whoever owns it can grow, move or unmap it. What lies in it holds offsets, no
// addresses.
typedef struct kv_region {
    // What this region is to the state format.
    uint32_t role;
    // A file descriptor that goes along, or -1.
    int32_t fd;
    // First byte, on a page; NULL where only a file descriptor goes along.
    void *base;
    // Bytes.
    size_t len;
} kv_region;

// The state of an engine between kv_handoff_give and kv_handoff_commit or kv_handoff_abort. It
// belongs to the engine that gave it and stays in place until then.
typedef struct kv_state {
    // Size of this struct as the host knows it, in bytes. The host sets it; the engine fills in the
    // rest.
    uint32_t struct_size;
    // Which version of the state format this is: that of the giver's identity.
    uint32_t format_version;
    // The regions.
    const kv_region *regions;
    // How many there are.
    uint32_t region_count;
    // 0.
    uint32_t reserved;
    // A few bytes of the state format's own, such as a header.
    kv_bytes root;
} kv_state;

// -------------------------------------------------------------------------------------------------
// What the host offers an engine: the table that `kv_open` gets, its arguments, and events.
// -------------------------------------------------------------------------------------------------

// Log level: something failed.
#define KV_LOG_ERROR 1

// Log level: something is odd, and the engine goes on.
#define KV_LOG_WARN 2

// Log level: for the operator.
#define KV_LOG_INFO 3

// Log level: for whoever looks for a fault.
#define KV_LOG_DEBUG 4

// An entry was removed because its time had passed.
#define KV_EVENT_EXPIRED 1

// An entry was removed to make room.
#define KV_EVENT_EVICTED 2

// An entry was written or removed by somebody other than this host.
#define KV_EVENT_CHANGED 3

// All entries of the space were removed by somebody other than this host.
#define KV_EVENT_CLEARED 4

// This is a trial: use nothing but memory and the empty directory `scratch_dir`; touch no
// configured resource. Only for engines with KV_CAP_SCRATCH. The options are not those of the live
// engine.
#define KV_OPEN_SCRATCH (1u << 0)

// Something that happened to an entry without a call of the host asking for it.
typedef struct kv_event {
    // Size of this struct as the engine knows it, in bytes.
    uint32_t struct_size;
    // One of KV_EVENT_*.
    uint32_t kind;
    // In which keyspace.
    uint32_t space;
    // 0.
    uint32_t reserved;
    // Which key; empty for KV_EVENT_CLEARED.
    kv_bytes key;
    // The version that the entry had (expired, evicted) or has (changed; 0: removed, or no
    // versions).
    uint64_t version;
} kv_event;

// What the host does for an engine. The table only grows: an engine uses an entry after a look at
// `struct_size`. It and everything in it stays valid until kv_close has returned. All functions may
// be called from any thread, at any time between the start of kv_open and the return of kv_close,
// also under the engine's locks: none of them calls the engine. Every first argument is `ctx`.
typedef struct kv_host {
    // Size of this struct as the host knows it, in bytes.
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // The first argument of every function here.
    void *ctx;
    // Writes a line to the host's log. `level` is one of KV_LOG_*; the text is UTF-8, one line.
    void (*log)(void *ctx, uint32_t level, kv_bytes text);
    // The time for expiry, in milliseconds since 1970 UTC. A test may set it, so it can jump, also
    // backwards.
    int64_t (*now_ms)(void *ctx);
    // The time for deadlines, in nanoseconds from some start; it never goes backwards.
    uint64_t (*monotonic_ns)(void *ctx);
    // Completes `count` operations of a batch, from `first` on: their results are filled in. What
    // the results lend is read during this call only, or until kv_release where they are pinned.
    // Each operation is completed exactly once; ranges come in any order, from any thread, inside
    // kv_submit or later. With the last one the batch is the host's again.
    void (*complete)(void *ctx, kv_batch *batch, uint32_t first, uint32_t count);
    // Tells that an entry expired, was evicted, or was changed from outside. The event is lent for
    // the call.
    void (*event)(void *ctx, const kv_event *event);
    // Adds `number` to a counter or sets a gauge among the host's metrics, under the engine's name.
    // For what happens between two calls of kv_stats and would be lost; lent for the call.
    void (*metric)(void *ctx, const kv_stat *stat);
} kv_host;

// One option for an engine, as the operator wrote it.
typedef struct kv_option {
    // What stood before the first `=`.
    kv_bytes key;
    // What stood behind it.
    kv_bytes value;
} kv_option;

// What kv_open gets. Lent for the call, but `host`, which stays valid until kv_close has returned.
typedef struct kv_open_args {
    // Size of this struct as the host knows it, in bytes.
    uint32_t struct_size;
    // KV_OPEN_SCRATCH. A flag that the engine does not know is INVALID.
    uint32_t flags;
    // The host's services.
    const kv_host *host;
    // The options. A key may come once; an unknown one is INVALID, and the error text lists the
    // known ones.
    const kv_option *options;
    // How many options there are.
    uint32_t option_count;
    // 0.
    uint32_t reserved;
    // With KV_OPEN_SCRATCH: path of an empty directory, which the host removes later. Else empty.
    kv_bytes scratch_dir;
    // State to adopt, from kv_handoff_give of another build whose identity names the same state
    // format and version; NULL to start without. If kv_open fails, the state is untouched.
    const kv_state *state;
} kv_open_args;

// -------------------------------------------------------------------------------------------------
// The functions of an engine. Each is a symbol of its library; `nm -D` shows what an engine can do.
// -------------------------------------------------------------------------------------------------

// What this library is. Required.
extern KV_EXPORT const kv_identity kv_abi;

// Opens an instance. Required.
//
// Called by: the host, on a thread made for it, for each load; instances of two builds can be open
// at once.
// Keeps: `args->host`, until kv_close has returned; copies what else it needs.
// Returns: OK with `*engine` set; INVALID (an option), FULL, UNAVAILABLE, IO, CORRUPT, LOCKED,
// DENIED, TIMEOUT, PANIC: then there is no instance, and everything taken is given back.
KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error);

// Closes an instance and frees all that it holds; no thread of it runs and no memory of it is left
// when it returns. What it acknowledged and keeps outside of memory is safe there. Required.
//
// Called by: the host, once, on a thread made for it; no other call is under way or will follow.
// Operations that are still not completed are completed first, with CANCELLED where they have not
// begun.
// Keeps: nothing, whatever it returns.
// Returns: OK; IO or UNAVAILABLE if the last of the data could not be made safe.
KV_EXPORT kv_status kv_close(kv_engine *engine, kv_error *error);

// Reads `op->key` and lends the entry to `sink`, once, before it returns OK. Required.
//
// Called by: a worker of the host; with KV_CAP_BLOCKING a thread of its pool. At the same time as
// other calls only with KV_CAP_THREAD_SAFE.
// Keeps: nothing. `op->kind` is KV_OP_GET.
// Returns: OK, NOT_FOUND, CONFLICT, INVALID, UNSUPPORTED, UNAVAILABLE, RETRY, IO, CORRUPT, PANIC,
// POISONED.
KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx,
                           kv_error *error);

// Stores `op->key` with value, expiry, type and flags of the operation. `*version` becomes the
// entry's version (0 without KV_CAP_VERSIONS); `version` may be NULL. Required.
//
// Called by: as kv_get. Keeps: nothing: key and value are copied. `op->kind` is KV_OP_SET.
// Returns: OK, CONFLICT, INVALID, UNSUPPORTED (expiry, type, flags or space that it cannot store),
// TOO_LARGE, FULL, READ_ONLY, UNAVAILABLE, RETRY, UNKNOWN, IO, PANIC, POISONED.
KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error);

// Removes `op->key`. Required.
//
// Called by: as kv_get. Keeps: nothing. `op->kind` is KV_OP_DELETE.
// Returns: OK, NOT_FOUND, CONFLICT, INVALID, UNSUPPORTED, READ_ONLY, UNAVAILABLE, RETRY, UNKNOWN,
// IO, PANIC, POISONED.
KV_EXPORT kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error);

// Lets `op->update` decide on `op->key` and carries the decision out, with no other change to the
// entry in between. `*version` as in kv_set; 0 when no entry is left. Optional; an engine that
// exports it and kv_submit takes KV_OP_UPDATE in batches too.
//
// Called by: as kv_get. Keeps: nothing. `op->kind` is KV_OP_UPDATE.
// Returns: OK whatever was decided; else as kv_set, and then nothing has changed.
KV_EXPORT kv_status kv_update(kv_engine *engine, const kv_op *op, uint64_t *version,
                              kv_error *error);

// Takes a batch of operations and completes each, now or later, through `host->complete`. It never
// waits for a disk, another machine or another batch. Optional.
//
// Called by: a worker of the host, from its event loop; at the same time as other calls only with
// KV_CAP_THREAD_SAFE.
// Keeps: the batch, until its last operation is completed.
// Returns: OK: each operation has been or will be completed exactly once. Anything else (INVALID,
// UNSUPPORTED, TOO_LARGE, RETRY and UNAVAILABLE when too much is waiting, POISONED): no operation
// was or will be completed, and none has an effect. An engine that panics on a batch which it has
// taken completes the rest of it with PANIC.
KV_EXPORT kv_status kv_submit(kv_engine *engine, kv_batch *batch, kv_error *error);

// Asks that what has not begun of a batch be given up. Every operation is still completed,
// CANCELLED or as it came. Optional; without it the host waits.
//
// Called by: the worker that submitted the batch, before it has seen the last completion. It may
// come too late: then it does nothing. The engine finds the batch by its address, among those that
// it still has.
// Keeps: nothing. Returns: nothing.
KV_EXPORT void kv_cancel(kv_engine *engine, kv_batch *batch);

// Ends the pins of a batch. Required if the engine ever sets KV_RESULT_PINNED.
//
// Called by: the worker that submitted the batch, once, in the same round of its event loop in
// which it saw the last completion, if a result was pinned. Keeps: nothing. Returns: nothing.
KV_EXPORT void kv_release(kv_engine *engine, kv_batch *batch);

// Goes on with a scan: lends some entries to `sink` (about `count`; it may be none before the end)
// and moves the cursor. An entry that is there from the first call to the last comes at least once;
// one that came or went meanwhile may or may not; expired ones never come. `flags`: KV_OP_NO_VALUE.
// Optional; without it the data cannot leave the engine again.
//
// Called by: a worker or, with KV_CAP_BLOCKING, a thread of the pool; and by the host's copier.
// Other calls may come between the steps of a scan. An engine may be called with a cursor of a scan
// that was given up, any time later: cursors hold no resources.
// Keeps: nothing.
// Returns: OK, INVALID (a cursor that is none), UNSUPPORTED (space), UNAVAILABLE, RETRY, IO,
// CORRUPT, PANIC, POISONED.
KV_EXPORT kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count,
                            kv_cursor *cursor, kv_entry_fn sink, void *sink_ctx, kv_error *error);

// Counts the entries. Those that expired and are not yet removed may be among them. Optional;
// without it the host scans.
//
// Called by: as kv_scan. Keeps: nothing.
// Returns: OK with `*count` set, UNSUPPORTED (space), UNAVAILABLE, RETRY, IO, PANIC, POISONED.
KV_EXPORT kv_status kv_count(kv_engine *engine, uint32_t space, uint64_t *count, kv_error *error);

// Tells the engine's own figures, each lent to `sink`. Cheap enough to be asked every second.
// Optional.
//
// Called by: as kv_scan. Keeps: nothing. Returns: OK, UNAVAILABLE, IO, PANIC, POISONED.
KV_EXPORT kv_status kv_stats(kv_engine *engine, kv_stat_fn sink, void *sink_ctx, kv_error *error);

// Removes all entries of a space, at one moment for every other client. Versions go on from where
// they were. Optional; without it the host scans and deletes.
//
// Called by: as kv_scan. Keeps: nothing.
// Returns: OK, UNSUPPORTED (space), READ_ONLY, UNAVAILABLE, RETRY, UNKNOWN, IO, PANIC, POISONED.
KV_EXPORT kv_status kv_clear(kv_engine *engine, uint32_t space, kv_error *error);

// Makes durable all that was acknowledged before the call, and returns when it is. May block
// whatever the capabilities say. Optional; required with KV_CAP_DURABLE.
//
// Called by: a thread of the pool. Keeps: nothing. Returns: OK, UNAVAILABLE, IO, FULL, PANIC,
// POISONED.
KV_EXPORT kv_status kv_sync(kv_engine *engine, kv_error *error);

// Prepares to hand over, in the way `kind` (KV_HANDOFF_*). For ADOPT and REOPEN: joins the engine's
// threads, completes all; from here until commit or abort come only kv_handoff_* calls. REOPEN also
// makes all durable and lets go of locks. FREEZE: holds off writers outside of this host; all
// reading calls still come. Optional, together with the other three.
//
// Called by: the host, on a thread made for it; no other call is under way.
// Keeps: nothing. Returns: OK; UNSUPPORTED (a kind that it does not know), UNAVAILABLE, IO, LOCKED,
// PANIC, POISONED: then the engine works as before.
KV_EXPORT kv_status kv_handoff_prepare(kv_engine *engine, uint32_t kind, kv_error *error);

// Describes the state, after a prepare for ADOPT. The engine still owns it, and whatever `state`
// points to stays valid until commit or abort.
//
// Called by: as kv_handoff_prepare. Keeps: nothing. Returns: OK, UNSUPPORTED, INVALID (not
// prepared), PANIC, POISONED.
KV_EXPORT kv_status kv_handoff_give(kv_engine *engine, kv_state *state, kv_error *error);

// The handoff has happened: the state belongs to the other engine, and kv_close, the only call that
// still comes, leaves it alone. After FREEZE: the outside writers find the store moved. Cannot
// fail.
//
// Called by: as kv_handoff_prepare. Keeps: nothing. Returns: nothing.
KV_EXPORT void kv_handoff_commit(kv_engine *engine);

// The handoff is called off: the engine works as before the prepare. Cannot fail after ADOPT and
// FREEZE; after REOPEN it takes its locks and files back, which can.
//
// Called by: as kv_handoff_prepare. Keeps: nothing.
// Returns: OK; after REOPEN also LOCKED, IO, UNAVAILABLE: then the host refuses requests and says
// so, and asks again.
KV_EXPORT kv_status kv_handoff_abort(kv_engine *engine, kv_error *error);

#ifdef __cplusplus
}
#endif

#endif // KVSTORE_H
