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
//         .struct_size = sizeof(kv_identity), .capabilities = KV_CAP_SCRATCH,
//         .key_len_max = 64, .value_len_max = 64, .name = "smallest", .version = "1.0.0",
//     };
//
//     static kv_status fail(kv_error *error, kv_status status, const char *text) {
//         if (error && error->capacity >= strlen(text)) {
//             error->len = (uint32_t)strlen(text);
//             memcpy(error->text, text, error->len);
//         }
//         return status;
//     }
//
//     kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error) {
//         if ((args->flags & ~KV_OPEN_SCRATCH) || args->option_count != 0 || args->state != NULL)
//             return fail(error, KV_STATUS_INVALID, "there are no options, flags or states here");
//         *engine = (kv_engine *)calloc(1, sizeof(**engine));
//         return *engine ? KV_STATUS_OK : KV_STATUS_FULL;
//     }
//
//     kv_status kv_close(kv_engine *engine, kv_error *error) {
//         (void)error;
//         free(engine);
//         return KV_STATUS_OK;
//     }
//
//     // What no operation may ask of this engine.
//     static kv_status check(const kv_op *op, uint32_t flags, kv_error *error) {
//         if (op->flags & ~(flags | KV_OP_HINTS))
//             return fail(error, KV_STATUS_INVALID, "unknown flag");
//         if (op->space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only space 0");
//         return KV_STATUS_OK;
//     }
//
//     static int is_there(const kv_engine *engine, const kv_op *op) {
//         return engine->full && engine->key_len == op->key.len
//             && (op->key.len == 0 || memcmp(engine->key, op->key.data, op->key.len) == 0);
//     }
//
//     static void lend(const kv_engine *engine, kv_entry_fn sink, void *sink_ctx) {
//         kv_entry entry;
//         memset(&entry, 0, sizeof(entry));
//         entry.key.data = (const uint8_t *)engine->key;
//         entry.key.len = engine->key_len;
//         entry.value.data = (const uint8_t *)engine->value;
//         entry.value.len = engine->value_len;
//         sink(sink_ctx, &entry);
//     }
//
//     kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx,
//                      kv_error *error) {
//         kv_status status = check(op, KV_OP_NO_VALUE, error);
//         if (status != KV_STATUS_OK) return status;
//         if (!is_there(engine, op)) return KV_STATUS_NOT_FOUND;
//         lend(engine, sink, sink_ctx);
//         return KV_STATUS_OK;
//     }
//
//     kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {
//         kv_status status = check(op, 0, error);
//         if (status != KV_STATUS_OK) return status;
//         if (op->expiry_ms != 0 || op->type != 0 || op->entry_flags != 0)
//             return fail(error, KV_STATUS_UNSUPPORTED, "no expiry, type or flags here");
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
//         kv_status status = check(op, 0, error);
//         if (status != KV_STATUS_OK) return status;
//         if (!is_there(engine, op)) return KV_STATUS_NOT_FOUND;
//         engine->full = 0;
//         return KV_STATUS_OK;
//     }
//
//     kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count,
//                       kv_cursor *cursor, kv_entry_fn sink, void *sink_ctx, kv_error *error) {
//         (void)count;
//         if (flags & ~KV_OP_NO_VALUE) return fail(error, KV_STATUS_INVALID, "unknown flag");
//         if (space != 0) return fail(error, KV_STATUS_UNSUPPORTED, "there is only space 0");
//         if (cursor->len != 0) return fail(error, KV_STATUS_INVALID, "not a cursor of this engine");
//         if (engine->full) lend(engine, sink, sink_ctx);
//         return KV_STATUS_OK;
//     }
//
// BUILD: gcc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -Iplugin-abi/include smallest.c
//            -o libsmallest.so (one line)
// CHECK: kvstore-host check ./libsmallest.so runs the conformance suite on it.
// RUN:   kvstore-host --engine ./libsmallest.so, or ENGINE RELOAD /path/libsmallest.so while the
//        host serves from another engine.
//
// THREADS. kv_open, kv_close and the handoff functions are called on threads made for them. All
// other calls to one instance come one at a time, from changing threads, unless the engine says
// KV_CAP_THREAD_SAFE: then they come from many threads at once. The host's lock orders memory
// between two calls. Several instances of one library may be open at once, so nothing of an
// instance is in statics. An engine that waits for a disk or a network says KV_CAP_BLOCKING, or
// exports kv_submit and completes later. An engine that starts threads joins them in kv_close. A
// library is unmapped while the host's threads live on, so it leaves nothing on them: no
// thread-locals with destructors. In C++: no exception leaves a function (std::bad_alloc is FULL),
// kv_abi is a constant initializer, and -fno-gnu-unique, or the library stays mapped for good.
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
// GROWTH. A struct that may grow has a `struct_size` or is reached by a stride; fields are only ever
// added at its end, and a struct that comes without either has at least the fields of the minor
// version told in kv_host. Frozen with the major version: kv_bytes, kv_entry, kv_error, kv_cursor,
// kv_stat. Reserved fields are 0 when written and not looked at when read. Unknown flags are refused
// with KV_STATUS_INVALID, but hints. A host takes engines of its own major version whose minor is not
// above its own, and uses towards each only what is in the header of that minor; in major 0, where
// everything may still change, the minors are equal.

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

// Outcome unknown (of a write; a read has no effect): the effect comes at most once. An engine does
// not send an operation a second time unless it knows that the first sending had no effect and can
// have none later; a condition that then fails is UNKNOWN, not CONFLICT. A host never repeats it.
// The operation may or may not have taken effect, or may do so a little later: until kv_sync,
// kv_handoff_prepare or kv_close has returned.
#define KV_STATUS_UNKNOWN (-9)

// A read or write of a file or socket failed. Of a call that writes: outcome unknown; an engine
// that knows that nothing was written says UNAVAILABLE.
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

// The engine panicked earlier and does nothing any more but hand its state over, where it can, and
// close. No effect.
#define KV_STATUS_POISONED (-16)

// What every call returns. A failure has had no effect, unless its description says "outcome
// unknown"; what a call was to fill in counts only after OK.
//
// With each function stand the statuses that mean something special there. Beside them any call may
// return INVALID, UNSUPPORTED, FULL, UNAVAILABLE, RETRY, UNKNOWN, IO, CORRUPT, DENIED, PANIC and
// POISONED; ABORTED, TIMEOUT and CANCELLED come in batches (TIMEOUT also from kv_open). A host
// reads an unknown negative status as UNKNOWN, and an unknown positive one as INVALID.
typedef int32_t kv_status;

// -------------------------------------------------------------------------------------------------
// The constant by which a library says what it is, read from the file before any code of it runs.
// -------------------------------------------------------------------------------------------------

// First bytes of every identity.
#define KV_ABI_MAGIC "KVSTORE"

// Must be equal on both sides. 0: the contract may still change with any version, so the minor must
// be equal too.
#define KV_ABI_MAJOR 0

// Grows with every addition. From major 1 on a host takes engines whose minor is at most its own,
// and uses towards each only the kinds, flags, actions and fields of the engine's minor.
#define KV_ABI_MINOR 3

// Calls may come from several threads at once. Else the host holds one lock over every call,
// through the lent value too.
#define KV_CAP_THREAD_SAFE (1ull << 0)

// Calls other than kv_submit, kv_cancel and kv_release, which never wait, may wait for a disk or
// another machine: they are made from a pool, never from an event loop.
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

// Type and flags of an entry are stored.
#define KV_CAP_TYPES (1ull << 8)

// The state can be given to another build and taken from one, by KV_HANDOFF_ADOPT. Requires the
// four kv_handoff_* functions.
#define KV_CAP_ADOPT (1ull << 9)

// Files or segments can be let go of and opened by another build, by KV_HANDOFF_REOPEN. Requires
// the four kv_handoff_* functions.
#define KV_CAP_REOPEN (1ull << 10)

// Writers outside of this host can be held off, by KV_HANDOFF_FREEZE. Requires the four
// kv_handoff_* functions.
#define KV_CAP_FREEZE (1ull << 11)

// Every entry that is removed without the host asking, or changed from outside, is told by an event
// before any call can show it; what was changed from outside, before kv_handoff_prepare for FREEZE
// returns. Without this bit events are a courtesy, and may be lost.
#define KV_CAP_EVENTS (1ull << 12)

// The least `struct_size` that a host takes: the size at ABI 0.2. What a shorter identity lacks of
// a longer one reads as 0.
#define KV_IDENTITY_SIZE_MIN 160

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
    // Version of the state format that this engine writes; 0: the state cannot be adopted or
    // reopened by anybody. Any change that another build of the same version could misread (layout,
    // hash, seed, the meaning of a field) is a new version.
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
    // What the layout of the state is called. One engine can take over from another of the same
    // name whose state has a version from `state_version_min` to `state_version`.
    char state_format[32];
    // Oldest version of the state format that kv_open takes.
    uint32_t state_version_min;
    // 0.
    uint32_t reserved;
} kv_identity;

// -------------------------------------------------------------------------------------------------
// Entries and the pieces that they are made of.
// -------------------------------------------------------------------------------------------------

// The largest cursor, in bytes: a key of 64 KiB and some more. An engine does well with 6 bytes or
// fewer: then a client's numeric cursor carries them, and the host has nothing to remember.
#define KV_CURSOR_LEN_MAX (65536 + 64)

// No keyspace, but all of them: in figures and events.
#define KV_SPACE_ALL UINT32_MAX

// kv_stats: a number that only grows, and is never below 0.
#define KV_STAT_COUNTER 1

// kv_stats: a number that goes up and down.
#define KV_STAT_GAUGE 2

// kv_stats: a text.
#define KV_STAT_TEXT 3

// Bytes that belong to someone else. `data` may be NULL where `len` is 0. No NUL follows them,
// unless it is said where they are handed over.
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
    // The value. After KV_OP_NO_VALUE `len` is its true length and `data` is not looked at; without
    // that flag the value is there, also where `data` is NULL because it is empty.
    kv_bytes value;
    // When the entry expires, in milliseconds since 1970 UTC; 0 is never. From that moment on it is
    // no entry, for anybody and in every respect, whether it is removed yet or not; should the
    // clock go back, one that is not removed may be seen again.
    int64_t expiry_ms;
    // From a sequence of the store that never gives a number twice, also across delete and clear.
    // Of one key, higher is later; those of different keys cannot be compared. Whatever changes an
    // entry gives it a new one, a change of the expiry too, and equal bytes too; reads and KEEP
    // never do. 0: the engine keeps no versions (or, as an expected version, "no entry"). Below
    // 2^56, so that a header can share the word.
    uint64_t version;
    // What kind of value this is: 0 is a string; from 2^31 up is free for trials. Stored and given
    // back, not interpreted, by the engine.
    uint32_t type;
    // For the host, stored and given back with the entry. An engine without KV_CAP_TYPES refuses a
    // type or flags other than 0 with KV_STATUS_UNSUPPORTED.
    uint32_t flags;
} kv_entry;

// Takes one entry, lent for the time of the call: what is to stay is copied. `ctx` is what the
// caller gave beside the function. It never calls the engine, never blocks, never unwinds.
typedef void (*kv_entry_fn)(void *ctx, const kv_entry *entry);

// Room for an error text, the caller's. The engine writes at most `capacity` bytes of UTF-8,
// without a NUL, and sets `len`. The caller sets `len` to 0 before the call. Pointers to this type
// may be NULL, and so may `text` where `capacity` is 0: nobody wants to know. Every failure should
// have a text, INVALID and UNSUPPORTED must. It may be cut anywhere: the host mends UTF-8 and line
// breaks. No secrets: it reaches clients and logs.
typedef struct kv_error {
    // The caller's buffer.
    char *text;
    // Its size in bytes.
    uint32_t capacity;
    // Bytes written.
    uint32_t len;
} kv_error;

// Where a scan stands: bytes that only the engine understands. `len` 0 starts a scan and, after a
// call, ends it. The buffer is the host's and has room for KV_CURSOR_LEN_MAX bytes. Cursors hold no
// resources, and may come from a client, so the engine checks each before it uses it, and stores no
// address in it. One that holds a key needs a `key_len_max` of at most 65,536.
typedef struct kv_cursor {
    // The host's buffer.
    uint8_t *bytes;
    // Bytes in use.
    uint32_t len;
    // Size of the buffer.
    uint32_t capacity;
} kv_cursor;

// One figure that an engine tells of itself. Names have 1 to 64 bytes of lower case, digits and
// underscores, the unit last: `memory_bytes`. At most 256 of them.
typedef struct kv_stat {
    // What it is called; unique in the engine.
    kv_bytes name;
    // One of KV_STAT_COUNTER, KV_STAT_GAUGE, KV_STAT_TEXT.
    uint32_t kind;
    // Which keyspace it is about; KV_SPACE_ALL: the whole engine.
    uint32_t space;
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

// GET only: the value itself is not wanted, only its length and what else the entry has.
#define KV_OP_NO_VALUE (1u << 0)

// Any kind: go on only if the entry's version is `expected_version` (0: only if there is no entry),
// else CONFLICT. In an atomic batch it is compared with the entry as it was before the batch; a GET
// with this flag is how a batch watches a key that it does not write. Needs KV_CAP_VERSIONS.
#define KV_OP_EXPECT (1u << 1)

// SET only: what is stored gets `version` (1 to 2^56 - 1), over whatever is there, and the store's
// sequence is raised to at least that, never lowered. Sent while entries are copied from another
// engine. Needs KV_CAP_VERSIONS.
#define KV_OP_IMPORT (1u << 2)

// Flags from here up are hints: an engine does not refuse those that it does not know.
#define KV_OP_HINTS 4278190080

// A hint: this access is not the client's wish for the entry (TTL, a copy, a look from outside),
// and says nothing about its use.
#define KV_OP_NO_TOUCH (1u << 24)

// What an update may do with the entry that it was shown.
#define KV_DECISION_KEEP 0

// Store `value`, `expiry_ms`, `type` and `flags`.
#define KV_DECISION_REPLACE 1

// Remove the entry; nothing where there is none.
#define KV_DECISION_REMOVE 2

// Only the expiry changes, to `expiry_ms`. The entry exists.
#define KV_DECISION_SET_EXPIRY 3

// The value becomes `new_len` bytes long (what is cut off is gone, what is added is zero), then
// `value` is written at `offset`; offset <= new_len and value.len <= new_len - offset. Expiry, type
// and flags stay; an entry that was absent starts empty, without expiry, with `type` and `flags`
// from here.
#define KV_DECISION_PATCH 4

// The lent bytes of this result stay valid and unchanged until kv_release of the batch, not only
// during the completion call, whatever is written meanwhile. Other calls, of the same thread too,
// come in between: a pin is no lock that one of them could wait for.
#define KV_RESULT_PINNED (1u << 0)

// All operations or none: if one cannot be carried out, none has an effect, it says why, and the
// others say ABORTED (a GET that merely finds nothing, a DELETE of nothing and an update that keeps
// are carried out). To every other client the batch happens at one moment, and its own reads and
// updates see its earlier writes. Without KV_CAP_ATOMIC kv_submit refuses it with UNSUPPORTED.
#define KV_BATCH_ATOMIC (1u << 0)

// What `update` answers. Before each call the engine sets `struct_size` and clears the rest, which
// is KEEP. An action that breaks its rules or that the engine does not know is INVALID, and nothing
// changes.
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
    // again for the same operation, or the operation is completed, and never point into `current`
    // or anything else that the engine lends.
    kv_bytes value;
    // PATCH: where to write, in bytes.
    uint64_t offset;
    // PATCH: the value's length afterwards, in bytes.
    uint64_t new_len;
} kv_decision;

// Decides on one entry: a pure function of `current` (NULL: there is none) and of what `ctx` holds.
// The engine may call it again when it has to start over, from any one thread at a time, and only
// the last call counts; what it writes behind `ctx` is shared with no other operation, but within
// an atomic batch. It may be called under the engine's locks: it never calls the engine, never
// blocks, never unwinds, keeps no pointer of `current`. `current` is never an expired entry, and
// always has its value. What is stored may exceed `value_len_max`: then the engine answers
// TOO_LARGE.
//
// In an atomic batch updates may be linked: there, what one writes behind its `ctx` may be read by
// later ones of the batch (RENAME is two: one takes an entry, the next stores it). So the engine
// calls the updates of an atomic batch from one thread at a time and in the order of their
// operations, each shown what the operations before it have done; and when it calls one again, it
// calls all updates behind that one again too, in order.
typedef void (*kv_update_fn)(void *ctx, const kv_entry *current, kv_decision *decision);

// One operation. Its memory is the host's; it does not move or change until the operation is
// completed. In an array the stride is told, so that later versions can append fields.
//
// `kind`, `flags`, `space` and `key` are always set. Of the other fields only those are set, and
// may be looked at, that go with the kind and the flags.
//
// Flags by kind: GET takes NO_VALUE and EXPECT; SET takes EXPECT and IMPORT; DELETE and UPDATE take
// EXPECT. Any other flag, an unknown kind, an UPDATE without its function: INVALID. What needs a
// capability that the engine lacks, or a space that it does not have: UNSUPPORTED, or INVALID where
// the engine does not know it. In a batch this fails that operation, not the batch. The host has
// compared key and value with the limits of the identity before.
typedef struct kv_op {
    // One of KV_OP_GET, SET, DELETE, UPDATE.
    uint32_t kind;
    // KV_OP_NO_VALUE, EXPECT, IMPORT.
    uint32_t flags;
    // Which keyspace. The host knows only 0; an engine answers UNSUPPORTED to any that it does not
    // have.
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
    // SET: when it expires, in milliseconds since 1970 UTC; 0 is never. A time that has passed is
    // no error: the entry is not seen. Other than 0 needs KV_CAP_EXPIRY; below 0 is INVALID.
    int64_t expiry_ms;
    // With KV_OP_EXPECT: the version that the entry must have, 0 for no entry.
    uint64_t expected_version;
    // With KV_OP_IMPORT: the version to store.
    uint64_t version;
    // UPDATE: the function.
    kv_update_fn update;
    // UPDATE: handed to the function.
    void *update_ctx;
} kv_op;

// What came of one operation. The array is the host's and holds anything before; the engine fills
// an element before it completes it, and the host looks at nothing but what is said to be set for
// this kind and status. A cache line long.
typedef struct kv_result {
    // OK, NOT_FOUND, CONFLICT, ABORTED or a failure. Always set.
    kv_status status;
    // KV_RESULT_PINNED. Always set; 0 where it finds nothing to say.
    uint32_t flags;
    // GET, OK: the value, or only its length after KV_OP_NO_VALUE.
    kv_bytes value;
    // GET, SET, UPDATE, OK: when the entry expires; 0 is never, or nothing is stored.
    int64_t expiry_ms;
    // GET, SET, UPDATE, OK: the entry's version; 0: nothing is stored, or the engine keeps none.
    uint64_t version;
    // GET, OK: the entry's type.
    uint32_t type;
    // GET, OK: the entry's flags.
    uint32_t entry_flags;
    // A failure's text, as for kv_error; not looked at otherwise. Lent like the entry.
    kv_bytes message;
} kv_result;

// An array of operations for kv_submit. The struct, the operations, their keys and values, and the
// results are the host's. None of them moves or changes until the last operation is completed; from
// the call of `complete` for that one on the engine touches none of them, but that in kv_release,
// which may come before that call returns, it may read `engine_data`.
//
// Without KV_BATCH_ATOMIC, operations on the same key take effect in the order of the array; others
// in any order. One that fails holds nothing up; one of unknown outcome stands outside of the
// order. There is no order between two batches, or a batch and a call, until the first is
// completed; but a read sees every write that was completed before it was submitted.
typedef struct kv_batch {
    // Size of this struct as the host knows it, in bytes.
    uint32_t struct_size;
    // KV_BATCH_ATOMIC. A flag that the engine does not know is INVALID.
    uint32_t flags;
    // The operations.
    const kv_op *ops;
    // Their results, one for one.
    kv_result *results;
    // How many there are: at least 1, at most `batch_len_max` of the engine's identity.
    uint32_t count;
    // Bytes from one operation to the next.
    uint32_t op_stride;
    // Bytes from one result to the next.
    uint32_t result_stride;
    // 0.
    uint32_t reserved;
    // The batch's number, for kv_cancel: not 0, and never used twice in an instance.
    uint64_t id;
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

// Writers outside of this host are held off while the host copies. All calls of the host go on,
// writes too.
#define KV_HANDOFF_FREEZE 3

// The giver cannot vouch for the state: it has panicked. The taker checks every entry before
// kv_open says OK, and says CORRUPT in case of doubt.
#define KV_STATE_SUSPECT (1u << 0)

// One mapping, or one file descriptor, of the state. The mapping was made with mmap and never by an
// allocator, so whoever owns it can grow, move or unmap it; all of it has one protection, and `len`
// is a multiple of the page size. What lies in it holds offsets, no addresses.
typedef struct kv_region {
    // What this region is to the state format.
    uint32_t role;
    // A file descriptor that goes along, or -1: this very number becomes the taker's with the
    // commit. Its position is shared, so the taker does not seek before. The lock of a directory
    // goes along in the descriptor that holds it (flock, or F_OFD_SETLK; never F_SETLK).
    int32_t fd;
    // First byte, on a page; NULL where only a file descriptor goes along.
    void *base;
    // Bytes.
    size_t len;
} kv_region;

// The state of an engine between kv_handoff_give and kv_handoff_commit or kv_handoff_abort. Regions
// and descriptors belong to the giver until the commit, and to the taker from then on. This struct,
// `regions` and `root` are the giver's, and lent to the taker's kv_open.
typedef struct kv_state {
    // Size of this struct as the host knows it, in bytes. The host sets it and clears the rest; the
    // giver fills it in.
    uint32_t struct_size;
    // KV_HANDOFF_ADOPT, or KV_HANDOFF_REOPEN: then there are no mappings, and `root` names the
    // place (path, segment) that the taker has to open: exactly that, creating nothing.
    uint32_t kind;
    // Which version of the state format the state has now; at most `state_version` of the giver's
    // identity.
    uint32_t format_version;
    // KV_STATE_SUSPECT.
    uint32_t flags;
    // The regions.
    const kv_region *regions;
    // How many there are.
    uint32_t region_count;
    // Bytes from one region to the next.
    uint32_t region_stride;
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

// An entry was written, other than through this instance.
#define KV_EVENT_CHANGED 3

// All entries of the space were removed, other than through this instance.
#define KV_EVENT_CLEARED 4

// An entry was removed, other than through this instance.
#define KV_EVENT_REMOVED 5

// Events may have been missed: the host takes every entry of the space as changed. Also what a host
// makes of a kind that it does not know.
#define KV_EVENT_LOST 6

// This is a trial: use nothing but memory and the empty directory `scratch_dir`; touch no
// configured resource. Only for engines with KV_CAP_SCRATCH. The options are not those of the live
// engine.
#define KV_OPEN_SCRATCH (1u << 0)

// Something that happened to an entry without a call of the host asking for it: nothing is told of
// what the host's own calls did, and freeing memory is no event.
//
// An event comes after what it tells can be seen by every read. Those of one key come one at a
// time, in their order. EXPIRED and EVICTED come at most once per entry, before a later write to
// its key is acknowledged (a write over an expired entry that is not removed yet removes it first);
// the others may come twice, or be merged into the newest. All events of what came before are told,
// or LOST is, before kv_close and kv_handoff_prepare return.
//
// The host copies the event and never waits; where it has no room it drops the event and acts as on
// LOST. An event is a reason to look again, never one to write.
typedef struct kv_event {
    // Size of this struct as the engine knows it, in bytes.
    uint32_t struct_size;
    // One of KV_EVENT_*.
    uint32_t kind;
    // In which keyspace; KV_EVENT_LOST: or KV_SPACE_ALL.
    uint32_t space;
    // 0.
    uint32_t reserved;
    // Which key; empty for KV_EVENT_CLEARED and KV_EVENT_LOST.
    kv_bytes key;
    // The version that the entry had (expired, evicted, removed) or has (changed); 0: no versions.
    uint64_t version;
} kv_event;

// What the host does for an engine. The table only grows: an engine uses an entry after a look at
// `struct_size`. It and everything in it stays valid until kv_close has returned. All functions may
// be called from any thread, at any time between the start of kv_open and the return of kv_close,
// also under the engine's locks: none of them calls the engine, and none of them waits. Every first
// argument is `ctx`. A function within struct_size is never NULL.
typedef struct kv_host {
    // Size of this struct as the host knows it, in bytes.
    uint32_t struct_size;
    // The host's KV_ABI_MINOR: structs that come without a size or stride, such as the operation of
    // kv_get, have at least the fields of that minor.
    uint32_t abi_minor;
    // The first argument of every function here, of this instance alone: the host takes from it
    // which generation speaks.
    void *ctx;
    // Writes a line to the host's log, which only the operator reads; the host may cut, limit and
    // drop lines. `level` is one of KV_LOG_*; the text is UTF-8, one line, without secrets.
    void (*log)(void *ctx, uint32_t level, kv_bytes text);
    // The time for expiry, in milliseconds since 1970 UTC. A test may set it, so it can jump, also
    // backwards.
    int64_t (*now_ms)(void *ctx);
    // The time for deadlines, in nanoseconds from some start; it never goes backwards.
    uint64_t (*monotonic_ns)(void *ctx);
    // Completes `count` operations of a batch, from `first` on: their results are filled in. What
    // the results lend is read during this call only, or until kv_release where they are pinned. It
    // may be called inside any call of the engine, and at the same time for different ranges; the
    // host holds no lock over a call of the engine that this function would wait for. A thread that
    // has called it touches the batch again only if it itself still holds back another operation of
    // it. Each operation is completed exactly once; ranges come in any order, from any thread,
    // inside kv_submit or later. With the last one the batch is the host's again.
    void (*complete)(void *ctx, kv_batch *batch, uint32_t first, uint32_t count);
    // Tells of an event, which is lent for the call.
    void (*event)(void *ctx, const kv_event *event);
    // Adds `number` to a counter or sets a gauge among the host's metrics, under the engine's name.
    // For what happens between two calls of kv_stats and would be lost; lent for the call.
    void (*metric)(void *ctx, const kv_stat *stat);
} kv_host;

// One option for an engine, as the operator wrote it. A NUL follows the bytes of both. The value of
// a key that ends with `_secret` is one: the host shows it nowhere, and no text of the engine holds
// it.
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
    // The options; NULL where there are none. No key comes twice; an unknown one is INVALID, and
    // the error text lists the known ones.
    const kv_option *options;
    // How many options there are.
    uint32_t option_count;
    // Bytes from one option to the next.
    uint32_t option_stride;
    // With KV_OPEN_SCRATCH: path of a directory that the host removes later, with a NUL behind it;
    // empty, or as the giver of `state` left it in the same trial. Else no bytes.
    kv_bytes scratch_dir;
    // State to take over, from kv_handoff_give of another engine; NULL to start without. Other than
    // NULL only for KV_CAP_ADOPT or KV_CAP_REOPEN, by its kind; any other engine answers INVALID.
    // Until kv_handoff_commit is called for this instance it only reads the state: no removal of
    // what has expired, no growth, no append, no seek, no conversion. If kv_open fails or panics,
    // or kv_close comes before the commit, the state is untouched.
    const kv_state *state;
    // When the host will have lost interest, on the clock `monotonic_ns`; 0 is never. After it:
    // TIMEOUT, and nothing is kept.
    uint64_t deadline_ns;
} kv_open_args;

// -------------------------------------------------------------------------------------------------
// The functions of an engine. Each is a symbol of its library; `nm -D` shows what an engine can do.
// -------------------------------------------------------------------------------------------------

// What this library is. Required.
extern KV_EXPORT const kv_identity kv_abi;

// Opens an instance. Required.
//
// Called by: the host, on a thread made for it. Instances of two builds can be open at once, and
// several of one build: nothing of an instance is in statics. With `args->state` every request
// waits for this call.
// Keeps: `args->host`, until kv_close has returned; copies what else it needs.
// Returns: OK with `*engine` set; else, such as INVALID (an option, a flag, a state), LOCKED (also
// between two instances of one process), TIMEOUT, PANIC: there is no instance, and everything taken
// is given back.
KV_EXPORT kv_status kv_open(const kv_open_args *args, kv_engine **engine, kv_error *error);

// Closes an instance and frees all that it holds; no thread of it runs and no memory of it is left
// when it returns, but the state that it has given away or not yet taken over. What it acknowledged
// and keeps outside of memory is safe there. Required.
//
// Called by: the host, once, on a thread made for it; no other call is under way or will follow,
// and every kv_release that was due has come. Operations that are still not completed are completed
// first, not pinned, with CANCELLED where they have not begun.
// Keeps: nothing, whatever it returns.
// Returns: OK; else the last of the data could not be made safe.
KV_EXPORT kv_status kv_close(kv_engine *engine, kv_error *error);

// Reads `op->key` and lends the entry to `sink`, once, before it returns OK. Required.
//
// Called by: a worker of the host; with KV_CAP_BLOCKING a thread of its pool. At the same time as
// other calls only with KV_CAP_THREAD_SAFE.
// Keeps: nothing. `op->kind` is KV_OP_GET.
// Returns: OK, NOT_FOUND, CONFLICT.
KV_EXPORT kv_status kv_get(kv_engine *engine, const kv_op *op, kv_entry_fn sink, void *sink_ctx,
                           kv_error *error);

// Stores `op->key` with value, expiry, type and flags of the operation. `*version` becomes the
// entry's version (0 without KV_CAP_VERSIONS); `version` may be NULL. Required.
//
// Called by: as kv_get. Keeps: nothing: key and value are copied. `op->kind` is KV_OP_SET.
// Returns: OK, CONFLICT, UNSUPPORTED (expiry, type, flags or space that it cannot store),
// TOO_LARGE, FULL, READ_ONLY.
KV_EXPORT kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error);

// Removes `op->key`. Required.
//
// Called by: as kv_get. Keeps: nothing. `op->kind` is KV_OP_DELETE.
// Returns: OK, NOT_FOUND, CONFLICT, READ_ONLY.
KV_EXPORT kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error);

// Lets `op->update` decide on `op->key` and carries the decision out, with no other change to the
// entry in between. `*version` as in kv_set; 0 when no entry is left. All decisions but KEEP, and
// REMOVE of nothing, give a new version. Optional; an engine that exports it and kv_submit takes
// KV_OP_UPDATE in batches too.
//
// Called by: as kv_get. Keeps: nothing. `op->kind` is KV_OP_UPDATE.
// Returns: OK whatever was decided; else as kv_set.
KV_EXPORT kv_status kv_update(kv_engine *engine, const kv_op *op, uint64_t *version,
                              kv_error *error);

// Takes a batch of operations and completes each, now or later, through `host->complete`. It never
// waits for a disk, another machine or another batch. Optional.
//
// Called by: a worker of the host, from its event loop; at the same time as other calls only with
// KV_CAP_THREAD_SAFE.
// Keeps: the batch, until its last operation is completed.
// Returns: OK: each operation has been or will be completed exactly once. Anything else (INVALID,
// UNSUPPORTED, TOO_LARGE; RETRY and UNAVAILABLE when too much is waiting): no operation was or will
// be completed, and none has an effect. An engine that panics on a batch which it has taken
// completes the rest of it with PANIC.
KV_EXPORT kv_status kv_submit(kv_engine *engine, kv_batch *batch, kv_error *error);

// Asks that what has not begun of a batch be given up. Every operation is still completed,
// CANCELLED or as it came. Optional; without it the host waits.
//
// Called by: any thread, at any time between kv_submit and kv_close, whatever the capabilities say,
// also for a batch that has ended or was never taken: then it does nothing. It does not wait, and
// may complete operations before it returns. The engine looks for the number among the batches that
// it still has.
// Keeps: nothing. Returns: nothing.
KV_EXPORT void kv_cancel(kv_engine *engine, uint64_t batch_id);

// Ends the pins of a batch. Required if the engine ever sets KV_RESULT_PINNED.
//
// Called by: the worker that submitted the batch, once, in the same round of its event loop in
// which it saw the last completion, if a result was pinned. Keeps: nothing. Returns: nothing.
KV_EXPORT void kv_release(kv_engine *engine, kv_batch *batch);

// Goes on with a scan: lends some entries to `sink` and moves the cursor: about `count` (at least
// 1) of them, fewer once about 1 MiB of values is lent, or none before the end. A key that has an
// entry from the first call to the last, however often overwritten, comes at least once; one whose
// entry came or went meanwhile may or may not; expired ones never come. Writes, imports and
// kv_clear in between spoil no cursor. `flags`: KV_OP_NO_VALUE. Optional; without it the data
// cannot leave the engine again.
//
// Called by: a worker or, with KV_CAP_BLOCKING, a thread of the pool; and by the host's copier.
// Other calls may come between the steps of a scan. An engine may be called with a cursor of a scan
// that was given up, any time later: cursors hold no resources.
// Keeps: nothing.
// Returns: OK; else, such as INVALID (a cursor that is none), the cursor counts as not moved, and
// what was lent may come again.
KV_EXPORT kv_status kv_scan(kv_engine *engine, uint32_t space, uint32_t flags, uint32_t count,
                            kv_cursor *cursor, kv_entry_fn sink, void *sink_ctx, kv_error *error);

// Lends one entry to `sink`, once, before it returns OK: any of the space, each about as likely as
// the others, and never one that expired. Cheap, whatever the number of entries. Optional; without
// it the host chooses among what a scan brings. `flags`: KV_OP_NO_VALUE.
//
// Called by: as kv_scan. Keeps: nothing.
// Returns: OK, NOT_FOUND (there is no entry).
KV_EXPORT kv_status kv_random(kv_engine *engine, uint32_t space, uint32_t flags, kv_entry_fn sink,
                              void *sink_ctx, kv_error *error);

// Counts the entries. Those that expired and are not yet removed may be among them. Optional;
// without it the host scans.
//
// Called by: as kv_scan. Keeps: nothing.
// Returns: OK with `*count` set.
KV_EXPORT kv_status kv_count(kv_engine *engine, uint32_t space, uint64_t *count, kv_error *error);

// Tells the engine's own figures, each lent to `sink`. Cheap enough to be asked every second.
// Optional.
//
// Called by: as kv_scan. Keeps: nothing. Returns: OK.
KV_EXPORT kv_status kv_stats(kv_engine *engine, kv_stat_fn sink, void *sink_ctx, kv_error *error);

// Removes all entries of a space, at one moment for every other client. Versions go on from where
// they were. Optional; without it the host scans and deletes.
//
// Called by: as kv_scan. Keeps: nothing.
// Returns: OK, READ_ONLY.
KV_EXPORT kv_status kv_clear(kv_engine *engine, uint32_t space, kv_error *error);

// Makes durable all that was acknowledged before the call, and returns when it is. What was
// answered UNKNOWN before the call has then taken effect, or never will. May block whatever the
// capabilities say. Optional; required with KV_CAP_DURABLE, and of engines that ever answer
// UNKNOWN.
//
// Called by: a thread of the pool; an engine without KV_CAP_THREAD_SAFE is locked meanwhile, so one
// that is DURABLE is better THREAD_SAFE.
// Keeps: nothing. Returns: OK.
KV_EXPORT kv_status kv_sync(kv_engine *engine, kv_error *error);

// Tells and raises the store's sequence of versions: it becomes at least `*last`, and `*last`
// becomes the highest number that was ever given or imported, deleted entries included. So a store
// that is filled from another one continues its sequence. Required with KV_CAP_VERSIONS.
//
// Called by: as kv_scan. Keeps: nothing. Returns: OK, INVALID (2^56 or more).
KV_EXPORT kv_status kv_sequence(kv_engine *engine, uint64_t *last, kv_error *error);

// Prepares to hand over, in the way `kind` (KV_HANDOFF_*).
//
// ADOPT, REOPEN: the engine's threads halt and touch nothing more (they are joined in kv_close);
// background work such as a snapshot is broken off or paused, not waited for. From here until
// commit or abort come only kv_handoff_* calls. REOPEN also makes all durable and lets go of locks,
// and of every descriptor that it does not give; that comes last, after all that can fail. FREEZE:
// when it returns OK, no write from outside is under way, and none takes effect until commit or
// abort. All calls of the host still come, writes too.
//
// Optional, together with the other three. One handoff at a time; its calls may come from different
// threads.
//
// Called by: the host, on a thread made for it; for ADOPT and REOPEN no other call is under way,
// and no batch is uncompleted or unreleased.
// Keeps: nothing. Returns: OK; UNSUPPORTED (the kind), INVALID (already prepared), else: the engine
// works as before, also after IO. A poisoned engine still takes ADOPT, and marks its state
// KV_STATE_SUSPECT.
KV_EXPORT kv_status kv_handoff_prepare(kv_engine *engine, uint32_t kind, kv_error *error);

// Describes the state, after a prepare for ADOPT or REOPEN. The engine still owns it, and whatever
// `state` points to stays valid until commit or abort.
//
// Called by: as kv_handoff_prepare. Keeps: nothing. Returns: OK, INVALID (not prepared).
KV_EXPORT kv_status kv_handoff_give(kv_engine *engine, kv_state *state, kv_error *error);

// The handoff has happened. Called for both engines, the giver first, nothing in between. Cannot
// fail: all that can (threads, memory) is done before.
//
// For the giver: it writes, unlinks, unmaps and closes nothing of the state any more, and kv_close,
// the only call that still comes, frees only what is private to it. For the taker (opened with a
// state): regions and descriptors are its own from here on. After FREEZE: the outside writers find
// the store moved.
//
// Called by: as kv_handoff_prepare. Keeps: nothing. Returns: nothing.
KV_EXPORT void kv_handoff_commit(kv_engine *engine);

// The handoff is called off: the engine works as before the prepare. A taker that was opened is
// closed first. Cannot fail after ADOPT and FREEZE; after REOPEN it takes its locks and files back,
// which can.
//
// Called by: as kv_handoff_prepare. Keeps: nothing.
// Returns: OK; after REOPEN also others, such as LOCKED: then the host refuses requests and says
// so, and asks again.
KV_EXPORT kv_status kv_handoff_abort(kv_engine *engine, kv_error *error);

// The operation and the result at `index` of a batch: batch->ops[index] would go wrong with the
// first field that is appended.
static inline const kv_op *kv_batch_op(const kv_batch *batch, uint32_t index) {
    return (const kv_op *)(const void *)((const char *)batch->ops + (size_t)index * batch->op_stride);
}
static inline kv_result *kv_batch_result(const kv_batch *batch, uint32_t index) {
    return (kv_result *)(void *)((char *)batch->results + (size_t)index * batch->result_stride);
}

// Whether a struct with `struct_size` has a field that a later version appended.
#define KV_HAS(pointer, type, field) \
    ((pointer)->struct_size >= offsetof(type, field) + sizeof(((type *)0)->field))

#ifdef __cplusplus
}
#endif

#endif // KVSTORE_H
