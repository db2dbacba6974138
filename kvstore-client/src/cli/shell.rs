//! `completions` and `man`: what shells and `man` need to know, made from the definition of the command line.

use super::{Cli, Exit, Failure};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// Shell to print them for
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Directory to write the pages to, a page for each command; it is made when it is missing
    directory: PathBuf,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        // By way of a buffer, as the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kvstore-client", &mut script);
        io::stdout().write_all(&script).map_err(Failure::Output)?;
        Ok(Exit::Done)
    }
}

impl Man {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &self.directory));
        written.map_err(|error| Failure::File { path: self.directory, error })?;
        Ok(Exit::Done)
    }
}
