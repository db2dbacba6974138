//! Handoff: a handoff that is refused or called off leaves a working engine, and one that happens carries everything.

use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::calls::State;
use crate::raw::*;

suite! { "handoff":
    once state_needs_the_capability: "kv_open answers INVALID to a state of a kind that the engine does not take.";
    once kinds_need_their_capability: "ADOPT, REOPEN and FREEZE can be prepared where the identity says so, and are UNSUPPORTED where not.";
    once second_prepare_is_refused: "A prepare while one stands is INVALID, and the first one still stands.";
    once unknown_kind_is_refused: "A handoff of an unknown kind is UNSUPPORTED, and the engine works on.";
    once give_needs_a_prepare: "kv_handoff_give without a prepare is refused, and the engine works on.";
    once abort_gives_everything_back: "A prepare of any kind that is called off leaves a working engine with its data.";
    once adopt_carries_everything: "Another instance opened with the state given has all entries and goes on from there.";
    once adopt_after_an_abort: "What was written after a handoff was called off is in the state of the next one.";
    once adopt_can_be_called_off: "A state that was given and not taken is the giver's again.";
}

const KINDS: [(u32, u64, &str); 3] = [
    (KV_HANDOFF_ADOPT, KV_CAP_ADOPT, "ADOPT"),
    (KV_HANDOFF_REOPEN, KV_CAP_REOPEN, "REOPEN"),
    (KV_HANDOFF_FREEZE, KV_CAP_FREEZE, "FREEZE"),
];

const ENTRIES: u32 = 200;

/// The least size of a page that any Linux has, in bytes.
const PAGE: usize = 4096;

fn state_needs_the_capability(t: &Trial<'_>) -> Check {
    for (kind, bit, name) in KINDS {
        // There is no state of the kind FREEZE.
        if t.has(bit) && kind != KV_HANDOFF_FREEZE {
            continue;
        }
        let state = State::forged(kind, t.subject.identity.state_version, b"a state");
        match t.adopting(&state) {
            Ok(taker) => {
                taker.end(Ok(()))?;
                return Err(Stop::Failed(format!("kv_open took a state of the kind {name}")));
            }
            Err(error) => {
                ensure!(error.status == Status::INVALID, "a state of the kind {name}: {error}");
                ensure!(!error.text.is_empty(), "INVALID came without a text");
            }
        }
    }
    Ok(())
}

fn kinds_need_their_capability(t: &Trial<'_>) -> Check {
    let said = KINDS.iter().any(|(_, bit, _)| t.has(*bit));
    ensure!(!said || t.has_symbol("kv_handoff_prepare"), "ADOPT, REOPEN or FREEZE without kv_handoff_*");
    t.needs_symbol("kv_handoff_prepare")?;
    fill(t)?;
    for (kind, bit, name) in KINDS {
        let session = t.instance.session();
        match session.handoff_prepare(kind) {
            Ok(()) => {
                session.handoff_abort()?;
                ensure!(t.has(bit), "a prepare for {name}, which the identity does not have, is OK");
            }
            Err(error) => {
                ensure!(!t.has(bit), "prepare for {name}: {error}");
                ensure!(error.status == Status::UNSUPPORTED, "prepare for {name}, without it: {error}");
                ensure!(!error.text.is_empty(), "UNSUPPORTED came without a text");
            }
        }
    }
    works_on(t)
}

fn second_prepare_is_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_handoff_prepare")?;
    fill(t)?;
    for (kind, _, name) in KINDS.into_iter().filter(|(_, bit, _)| t.has(*bit)) {
        let session = t.instance.session();
        session.handoff_prepare(kind)?;
        let again = session.handoff_prepare(kind).map_or_else(|error| error.status, |()| Status::OK);
        session.handoff_abort()?;
        ensure!(again == Status::INVALID, "a second prepare for {name}: found {again}, wanted INVALID");
        drop(session);
        works_on(t)?;
    }
    Ok(())
}

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
    let known: Vec<_> = KINDS.into_iter().filter(|(_, bit, _)| t.has(*bit)).collect();
    ensure!(!known.is_empty(), "the engine exports the handoff set, and has none of ADOPT, REOPEN, FREEZE");
    for round in 0..3 {
        for (kind, _, name) in &known {
            let session = t.instance.session();
            let prepared = session.handoff_prepare(*kind);
            prepared.map_err(|error| Stop::Failed(format!("prepare for {name}: {error}")))?;
            let what = format!("abort after a prepare for {name}, round {round}");
            session.handoff_abort().map_err(|error| Stop::Failed(format!("{what}: {error}")))?;
            drop(session);
            works_on(t)?;
        }
    }
    Ok(())
}

fn adopt_carries_everything(t: &Trial<'_>) -> Check {
    hands_over(t, prepared(t)?)
}

fn adopt_after_an_abort(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ADOPT)?;
    let giver = t.another()?;
    let checked = (|| {
        giver.store(&0_u32.to_ne_bytes(), b"an older value")?;
        let session = giver.instance.session();
        session.handoff_prepare(KV_HANDOFF_ADOPT)?;
        session.handoff_give()?;
        session.handoff_abort()?;
        drop(session);
        fill(&giver)?;
        Ok(giver.instance.session().handoff_prepare(KV_HANDOFF_ADOPT)?)
    })();
    match checked {
        Ok(()) => hands_over(t, giver),
        Err(stop) => giver.end(Err(stop)),
    }
}

/// Another instance takes the state of this one over, which is prepared, and works on.
fn hands_over(t: &Trial<'_>, giver: Trial<'_>) -> Check {
    let checked = (|| {
        let session = giver.instance.session();
        let state = session.handoff_give()?;
        check_state(t, state.raw())?;
        let refused = |error| Stop::Failed(format!("kv_open with a state: {error}"));
        let taker = giver.adopting(&state).map_err(refused)?;
        session.handoff_commit();
        // The giver first, then the taker, and nothing in between.
        taker.instance.session().handoff_commit();
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
    t.needs(KV_CAP_ADOPT)?;
    let giver = t.another()?;
    let checked =
        fill(&giver).and_then(|()| Ok(giver.instance.session().handoff_prepare(KV_HANDOFF_ADOPT)?));
    match checked {
        Ok(()) => Ok(giver),
        Err(stop) => Err(giver.end(Err(stop)).err().unwrap_or(Stop::Failed(String::new()))),
    }
}

/// What is given is described as the contract says.
fn check_state(t: &Trial<'_>, state: &KvState) -> Check {
    ensure!(state.kind == KV_HANDOFF_ADOPT, "the state given is of the kind {}, wanted ADOPT", state.kind);
    let (version, most) = (state.format_version, t.subject.identity.state_version);
    ensure!(version != 0 && version <= most, "the state given has the format version {version} of {most}");
    ensure!(state.flags & KV_STATE_SUSPECT == 0, "the state given is SUSPECT");
    let stride = state.region_stride as usize;
    ensure!(state.region_count == 0 || stride >= size_of::<KvRegion>(), "regions at a stride of {stride}");
    for index in 0..state.region_count as usize {
        // SAFETY: an array of this many regions at this stride, which stays until commit or abort.
        let region = unsafe { &*state.regions.byte_add(index * stride) };
        let paged = region.base.addr().is_multiple_of(PAGE) && region.len.is_multiple_of(PAGE);
        ensure!(paged, "region {index} is not made of pages: {:?}, {} bytes", region.base, region.len);
    }
    Ok(())
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
