//! Project: the project's own tools, papers and scripts, and the checker of histories.

mod bench;
mod documents;
mod linear_agrees;
mod linear_catches;
mod linear_histories;
mod new_engine;
mod tidy;
