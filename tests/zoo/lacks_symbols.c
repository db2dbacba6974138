// Has no kv_delete and no kv_close.
#define kv_delete good_delete
#define kv_close good_close
#include "engine.c"
