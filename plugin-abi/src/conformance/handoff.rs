//! Handoff: a handoff that is refused or called off leaves a working engine, and one that happens carries everything.

use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "handoff":
    once unknown_kind_is_refused: "A handoff of an unknown kind is UNSUPPORTED, and the engine works on.";
    once give_needs_a_prepare: "kv_handoff_give without a prepare is refused, and the engine works on.";
    once abort_gives_everything_back: "A prepare of any kind that is called off leaves a working engine with its data.";
    once adopt_carries_everything: "Another instance opened with the state given has all entries and goes on from there.";
    once adopt_can_be_called_off: "A state that was given and not taken is the giver's again.";
}

const KINDS: [(u32, &str); 3] =
    [(KV_HANDOFF_ADOPT, "ADOPT"), (KV_HANDOFF_REOPEN, "REOPEN"), (KV_HANDOFF_FREEZE, "FREEZE")];

const ENTRIES: u32 = 200;

fn unknown_kind_is_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_handoff_prepare")?;
    fill(t)?;
    for kind in [0, 4, u32::MAX] {
        let found =
            t.instance.session().handoff_prepare(kind).map_or_else(|error| error.status, |()| Status::OK);
        ensure!(found == Status::UNSUPPORTED, "prepare of kind {kind}: found {found}, wanted UNSUPPORTED");
    }
    works_on(t)
}

fn give_needs_a_prepare(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_handoff_prepare")?;
    fill(t)?;
    let found = t.instance.session().handoff_give().map_or_else(|error| error.status, |_| Status::OK);
    let refusals = [Status::INVALID, Status::UNSUPPORTED];
    ensure!(refusals.contains(&found), "give without a prepare: found {found}, wanted INVALID");
    works_on(t)
}

fn abort_gives_everything_back(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_handoff_prepare")?;
    fill(t)?;
    let mut known = 0;
    for round in 0..3 {
        for (kind, name) in KINDS {
            let session = t.instance.session();
            match session.handoff_prepare(kind) {
                Ok(()) => {
                    known += 1;
                    let what = format!("abort after a prepare for {name}, round {round}");
                    session.handoff_abort().map_err(|error| Stop::Failed(format!("{what}: {error}")))?;
                }
                Err(error) if error.status == Status::UNSUPPORTED => {}
                Err(error) => return Err(Stop::Failed(format!("prepare for {name}: {error}"))),
            }
            drop(session);
            works_on(t)?;
        }
    }
    ensure!(known > 0, "the engine exports the handoff set, and knows no kind of it");
    Ok(())
}

fn adopt_carries_everything(t: &Trial<'_>) -> Check {
    let giver = prepared(t)?;
    let checked = (|| {
        let session = giver.instance.session();
        let taker = giver.adopting(&session.handoff_give()?)?;
        session.handoff_commit();
        drop(session);
        Ok(taker)
    })();
    match checked {
        Ok(taker) => {
            // The giver is closed first: the state is not its own any more.
            giver.end(Ok(()))?;
            let checked = works_on(&taker);
            taker.end(checked)
        }
        Err(stop) => giver.end(Err(stop)),
    }
}

fn adopt_can_be_called_off(t: &Trial<'_>) -> Check {
    let giver = prepared(t)?;
    let checked = (|| {
        let session = giver.instance.session();
        session.handoff_give()?;
        session.handoff_abort()?;
        drop(session);
        works_on(&giver)
    })();
    giver.end(checked)
}

/// Another instance, filled and prepared for ADOPT. Skips the test where the engine cannot.
fn prepared<'a>(t: &Trial<'a>) -> Result<Trial<'a>, Stop> {
    t.needs_symbol("kv_handoff_prepare")?;
    let giver = t.another()?;
    let checked = fill(&giver).and_then(|()| {
        giver.instance.session().handoff_prepare(KV_HANDOFF_ADOPT).map_err(|error| match error.status {
            Status::UNSUPPORTED => Stop::Skipped("no ADOPT".to_owned()),
            _ => Stop::from(error),
        })
    });
    match checked {
        Ok(()) => Ok(giver),
        Err(stop) => Err(giver.end(Err(stop)).err().unwrap_or(Stop::Failed(String::new()))),
    }
}

fn fill(t: &Trial<'_>) -> Check {
    for i in 0..ENTRIES {
        t.store(&i.to_ne_bytes(), format!("value {i}").as_bytes())?;
    }
    Ok(())
}

/// All entries are there, and the engine reads, writes and deletes.
fn works_on(t: &Trial<'_>) -> Check {
    for i in 0..ENTRIES {
        t.finds(&i.to_ne_bytes(), Some(format!("value {i}").as_bytes()))?;
    }
    let before = t.read(&0_u32.to_ne_bytes())?.map_or(0, |it| it.version);
    let version = t.store(b"new", b"v")?;
    ensure!(version == 0 || version > before, "version {version} after {before}");
    t.finds(b"new", Some(b"v"))?;
    ensure!(t.remove(b"new")?, "DELETE of an entry that is there: NOT_FOUND");
    if t.has_symbol("kv_scan") {
        let found = t.everything(0, 50)?.len();
        ensure!(found == ENTRIES as usize, "a scan brings {found} of {ENTRIES} entries");
    }
    Ok(())
}
