//! Shrink: leaves out of a script all that a difference does not need.

use super::generate::Step;
use super::play::{Difference, Servers};

/// Plays again and again, with parts left out, until nothing more can be. Answers the shortest script, and its difference.
pub fn shrink(servers: &mut Servers, script: &[Step], found: Difference) -> (Vec<Step>, Difference) {
    let mut script = script[..script.len().min(found.step + 1)].to_vec();
    let mut difference = found;
    let mut try_this = |servers: &mut Servers, candidate: Vec<Step>, script: &mut Vec<Step>| {
        let shown = servers.play(&candidate);
        if let Err(shown) = shown {
            (*script, difference) = (candidate, shown);
            return true;
        }
        false
    };
    let mut len = script.len().div_ceil(2);
    while len > 0 {
        let mut at = 0;
        while at < script.len() {
            let mut candidate = script.clone();
            candidate.drain(at..(at + len).min(script.len()));
            if !try_this(servers, candidate, &mut script) {
                at += len;
            }
        }
        len /= 2;
    }
    // One at a time, as arrays, and of one connection, where that shows it as well.
    for at in 0..script.len() {
        let simpler: [fn(&mut Step); 3] = [
            |step| {
                if let Step::Send { joined, .. } = step {
                    *joined = false
                }
            },
            |step| {
                if let Step::Send { inline, .. } = step {
                    *inline = false
                }
            },
            |step| {
                if let Step::Send { connection, .. } = step {
                    *connection = 0
                }
            },
        ];
        for simplify in simpler {
            let mut candidate = script.clone();
            simplify(&mut candidate[at]);
            if candidate != script {
                try_this(servers, candidate, &mut script);
            }
        }
    }
    (script, difference)
}
