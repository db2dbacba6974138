//! Prompt: where the session is, and in which state.

use kvstore_client::Address;

/// What the prompt tells beside the address.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    pub(super) connected: bool,
    pub(super) in_transaction: bool,
    pub(super) subscribed: bool,
    /// Of a host with more than one.
    pub(super) database: u32,
}

/// `127.0.0.1:8080> `, with `[1]` for another database than the first, and the state in brackets.
pub(super) fn prompt(address: &Address, state: State) -> String {
    let database = if state.database == 0 { String::new() } else { format!("[{}]", state.database) };
    let state = match state {
        State { connected: false, .. } => "(not connected)",
        State { in_transaction: true, .. } => "(tx)",
        State { subscribed: true, .. } => "(subscribed)",
        _ => "",
    };
    format!("{address}{database}{state}> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_address() {
        let up = State { connected: true, ..State::default() };
        for (state, expected) in [
            (up, "kv:80> "),
            (State::default(), "kv:80(not connected)> "),
            (State { in_transaction: true, ..up }, "kv:80(tx)> "),
            (State { subscribed: true, ..up }, "kv:80(subscribed)> "),
            (State { database: 3, in_transaction: true, ..up }, "kv:80[3](tx)> "),
        ] {
            assert_eq!(prompt(&Address::tcp("kv", 80), state), expected);
        }
    }
}
