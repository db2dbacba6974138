//! Told: tests of what keyspace notifications tell of each command, in Redis' words and order.

use super::testing::Rig;

#[test]
fn of_strings_as_redis() {
    Rig::new().expect_events(&[
        ("SET k v", "new=k set=k"),
        ("SET k v", "set=k"),
        ("SET k v EX 100", "set=k expire=k"),
        ("SET n v EX 100", "new=n set=n expire=n"),
        ("SET k v KEEPTTL", "set=k"),
        ("SET k v NX", ""),
        ("SET none v XX", ""),
        ("SET m v NX GET", "keymiss=m new=m set=m"),
        ("SET k v GET", "set=k"),
        ("SET k v XX EX 10", "set=k expire=k"),
        ("SET k v PXAT 1", "set=k expire=k expired=k"),
        ("SETEX k 10 v", "new=k set=k expire=k"),
        ("PSETEX k 10000 v", "set=k expire=k"),
        ("SETNX k v", ""),
        ("SETNX q v", "new=q set=q"),
        ("GETSET k v", "set=k"),
        ("GETSET r v", "keymiss=r new=r set=r"),
        ("MSET a 1 b 2 a 3", "new=a set=a new=b set=b set=a"),
        ("APPEND a x", "append=a"),
        ("APPEND a \"\"", "append=a"),
        ("APPEND nw x", "new=nw append=nw"),
        ("SETRANGE a 0 z", "setrange=a"),
        ("SETRANGE a 0 \"\"", ""),
        ("INCR i", "new=i incrby=i"),
        ("DECRBY i 5", "incrby=i"),
        ("INCR a", ""),
        ("INCRBYFLOAT i 1.5", "incrbyfloat=i"),
        ("SET k", ""),
        ("MSETNX a 1 zz 2", ""),
        ("MSETNX y1 1 y2 2", "new=y1 set=y1 new=y2 set=y2"),
        ("SETBIT sb 3 1", "new=sb setbit=sb"),
        ("SETBIT sb 3 1", ""),
        ("SET y1 2 IFEQ 1", "set=y1"),
        ("SET y1 2 IFEQ 1", ""),
        ("DELIFEQ y1 1", ""),
        ("DELIFEQ y1 2", "del=y1"),
    ]);
}

#[test]
fn of_keys_as_redis() {
    let mut rig = Rig::new();
    rig.run("MSET a 1 b 2 c 3 d 4");
    rig.expect_events(&[
        ("DEL a none a", "del=a"),
        ("UNLINK b c", "del=b del=c"),
        ("GETDEL d", "del=d"),
        ("GETDEL d", "keymiss=d"),
        ("SET k v", "new=k set=k"),
        ("GETEX k", ""),
        ("GETEX k EX 10", "expire=k"),
        ("GETEX k PERSIST", "persist=k"),
        ("GETEX k PERSIST", ""),
        ("GETEX none", "keymiss=none"),
        ("GETEX none EX 10", "keymiss=none"),
        ("EXPIRE k 100", "expire=k"),
        ("EXPIRE k 100 NX", ""),
        ("EXPIRE none 100", ""),
        ("PERSIST k", "persist=k"),
        ("PERSIST k", ""),
        ("EXPIRE k -1", "del=k"),
        ("SET m v", "new=m set=m"),
        ("RENAME m m2", "rename_from=m new=m2 rename_to=m2"),
        ("RENAME none m", ""),
        ("RENAME m2 m2", ""),
        ("COPY m2 m3", "new=m3 copy_to=m3"),
        ("COPY m2 m3", ""),
        ("COPY m2 m3 REPLACE", "copy_to=m3"),
        ("COPY none m4", "keymiss=none"),
        ("RENAMENX m2 m3", ""),
        ("RENAMENX m2 m5", "rename_from=m2 new=m5 rename_to=m5"),
        ("FLUSHALL", ""),
    ]);
}

#[test]
fn a_missing_key_is_told_where_it_is_read() {
    let mut rig = Rig::new();
    rig.run("SET k v");
    for command in ["GET", "STRLEN", "EXISTS", "TOUCH", "TYPE", "TTL", "PTTL", "EXPIRETIME", "MGET k"] {
        assert_eq!(rig.events(&format!("{command} none")), "keymiss=none", "{command}");
        assert_eq!(rig.events(&format!("{command} k")), "", "{command}");
    }
    assert_eq!(rig.events("GETRANGE none 0 1"), "keymiss=none");
}
