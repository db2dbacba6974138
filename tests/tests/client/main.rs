//! Client: the client's programs, library and session, and clients of others.

mod commands;
mod live;
mod others;
mod program;
mod session;
mod shell;
mod transfer;
