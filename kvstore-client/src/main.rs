//! The program: everything it does lies in `cli`, on top of the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
