//! Differential: the same random requests to our host and to a real Redis, which have to answer the same and hold the same.
//!
//! * **Shared clock.** Both servers are started with a small library before all others ([`clock`]) that makes the time of day what a
//!   file says. It stands still but where a script moves it, so that expiries, TTL and TIME are compared to the millisecond.
//! * **Rounds.** A run is made of rounds of a thousand requests. Each begins with nothing stored, fresh connections and the clock at its start, and is
//!   made from the run's seed and its own number only; so one round shows a difference again, and can be shrunk ([`shrink`]).
//! * **Order.** Two connections take turns; a pipeline is answered in full before the next is sent. What happens at the same time is tested by
//!   the histories of `linear`.
//! * **Limits.** Both take values of 1 MiB at most, so that what is too long can be tried without much memory.
//! * **What Redis leaves open** (the order of KEYS, random keys) is compared without it ([`grammar::Compared`]); what is meant to differ is
//!   in [`known`].

pub mod clock;
pub mod compare;
pub mod generate;
pub mod grammar;
pub mod judge;
pub mod known;
pub mod lines;
pub mod pair;
pub mod play;
pub mod reply;
pub mod server;
pub mod shrink;
pub mod syntax;

use generate::script;
use play::Servers;

/// Requests of one round.
pub const ROUND: usize = 1_000;

/// Plays one round.
///
/// # Errors
/// The shortest script that shows the difference, and how to repeat it, as a text.
pub fn round(servers: &mut Servers, seed: u64, round: u64) -> Result<(), String> {
    let script = script(seed, round, ROUND);
    let Err(found) = servers.play(&script) else { return Ok(()) };
    let first = lines::show(&[], &found);
    let (script, difference) = shrink::shrink(servers, &script, found);
    Err(format!(
        "a difference in round {round} of seed {seed}:\n{}first shown as:\n{first}",
        lines::show(&script, &difference)
    ))
}
