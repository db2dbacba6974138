//! Shell: completions and man pages, made from the definition of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::config::Cli;

const NAME: &str = "kvstore-host";

/// Arguments of `kvstore-host completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell to print them for.
    shell: Shell,
}

/// Arguments of `kvstore-host man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Directory to write the pages to, a page for each command; it is made when it is missing.
    directory: PathBuf,
}

impl CompletionsArgs {
    /// Prints the completions of this program to the standard output.
    ///
    /// # Errors
    /// What the system says of the output.
    pub fn print(&self) -> io::Result<()> {
        // By way of a buffer, as the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut visible(Cli::command()), NAME, &mut script);
        io::stdout().write_all(&script)
    }
}

impl ManArgs {
    /// Writes the man pages of this program.
    ///
    /// # Errors
    /// What the system says of the directory or a file in it.
    pub fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        clap_mangen::generate_to(Cli::command(), &self.directory)
    }
}

/// The command without its hidden sub-commands, which completions would offer.
fn visible(command: Command) -> Command {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect::<Vec<_>>();
    Command::new(NAME).version(env!("CARGO_PKG_VERSION")).args(command.get_arguments()).subcommands(shown)
}
