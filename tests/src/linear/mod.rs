//! Linear: records what concurrent clients did to a store and decides whether one order of the operations explains it.
//!
//! A history is linearizable when each operation can be given one instant between its invocation and its reply such that
//! the replies are those of a store that does one operation at a time in the order of these instants
//! (M. Herlihy, J. Wing, "Linearizability: a correctness condition for concurrent objects", TOPLAS 12(3), 1990).
//!
//! The checker is a search in the line of
//!
//! - J. Wing, C. Gong, "Testing and verifying concurrent objects", JPDC 17, 1993: try the operations that may come next,
//!   one after another, and go back where a reply disagrees;
//! - G. Lowe, "Testing for linearizability", Concurrency and Computation: Practice and Experience 29(4), 2017: never
//!   look twice at the same configuration (operations in place, state), and choose an operation only just in time, when
//!   the reply of an open one forces a choice;
//! - A. Horn, D. Kroening, "Faster linearizability checking via P-compositionality", FORTE 2015: a history is
//!   linearizable when its part on each key is, so keys are checked one by one. Keys that one transaction touches
//!   together form one component and are checked together.
//!
//! It departs from them in three points. A configuration names the place in the sequence of replies and only those
//! operations in place whose reply is still to come, so it stays small however long the history, and where nothing is
//! open it is no more than the state: a history is cut at its quiet points, with all the states that were possible there
//! carried over, without a pass of its own. An operation whose known reply says that it changed nothing is put in place
//! as soon as the state agrees, which loses no order. Operations without a known reply may take effect at any later time
//! or never, so of two configurations that differ only in them the one that has used fewer stands for both.
//!
//! ```
//! use tests::linear::{Op, Outcome, Recorder, check};
//!
//! let recorder = Recorder::new();
//! let mut client = recorder.client();
//! let token = client.invoke("k", Op::Incr(1));
//! // … here the request goes out and the reply comes back …
//! client.complete(token, Outcome::Int(1));
//! drop(client);
//! let verdict = check(&recorder.finish().unwrap());
//! assert!(verdict.is_ok(), "{verdict}");
//! ```

mod component;
mod history;
mod model;
mod print;
mod recorder;
mod search;
mod verdict;

pub use history::{Call, Entry, History, HistoryError, Key, Op, Outcome};
pub use recorder::{Client, Recorder, RecorderError, Token};
pub use verdict::{Limits, Undecided, Verdict, Violation, check, check_with};
