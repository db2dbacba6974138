//! Options: those that every sub-command takes.

use super::color::Color;
use clap::{Args, value_parser};
use kvstore_client::{Address, Backoff, Client, Error, Protocol, Wait};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Options {
    /// Host to connect to
    #[arg(short = 'H', long, env = "KV_HOST", default_value = "127.0.0.1", global = true)]
    pub(crate) host: String,
    /// Port to connect to
    #[arg(short, long, env = "KV_PORT", default_value_t = 8080, global = true)]
    pub(crate) port: u16,
    /// Connect to this Unix socket instead of host and port
    #[arg(short, long, value_name = "PATH", global = true)]
    pub(crate) unix: Option<PathBuf>,
    /// Print one JSON document per reply
    #[arg(long, global = true, conflicts_with = "raw")]
    pub(crate) json: bool,
    /// Print the bytes of a string reply and nothing else
    #[arg(long, global = true)]
    pub(crate) raw: bool,
    /// When to colour what is printed
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
    /// Longest time to connect, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = value_parser!(u64).range(1..), global = true)]
    pub(crate) connect_timeout_ms: u64,
    /// Longest silence of the host while a reply is due, in milliseconds; 0 waits for ever [default: 30000, for `engine` 0]
    #[arg(long, value_name = "MS", global = true)]
    pub(crate) reply_timeout_ms: Option<u64>,
    /// How often to try again when no connection comes about, or one is lost before a request was sent
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub(crate) retries: u32,
    /// Protocol version to ask for; a host that does not know 3 is spoken to in 2
    #[arg(long, value_name = "VERSION", default_value_t = 3, value_parser = value_parser!(u8).range(2..=3), global = true)]
    pub(crate) resp: u8,
}

const REPLY_TIMEOUT_MS: u64 = 30_000;

impl Options {
    pub(crate) fn address(&self) -> Address {
        match &self.unix {
            Some(path) => Address::unix(path),
            None => Address::tcp(&self.host, self.port),
        }
    }

    pub(crate) fn wait(&self) -> Wait {
        let reply_ms = self.reply_timeout_ms.unwrap_or(REPLY_TIMEOUT_MS);
        Wait {
            connect: Duration::from_millis(self.connect_timeout_ms),
            reply: (reply_ms > 0).then(|| Duration::from_millis(reply_ms)),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        if self.resp == 2 { Protocol::Resp2 } else { Protocol::Resp3 }
    }

    /// How a client of this program behaves.
    pub(crate) fn for_library(&self) -> kvstore_client::Options {
        let backoff = Backoff { retries: self.retries, ..Backoff::default() };
        kvstore_client::Options {
            wait: self.wait(),
            backoff,
            protocol: self.protocol(),
            ..kvstore_client::Options::default()
        }
    }

    /// A client that has not connected yet.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address(), self.for_library())
    }

    /// A client that is connected, so that a host that is not there is known before anything is read or done.
    pub(crate) fn connected_client(&self) -> Result<Client, Error> {
        let mut client = self.client();
        client.run(&kvstore_client::Pipeline::new())?;
        Ok(client)
    }
}
