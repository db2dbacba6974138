//! Transcript: drives the client on a real terminal against a real host, and writes docs/session.md and its pictures from what is seen.

#![allow(clippy::unwrap_used, reason = "a transcript that cannot be taken is not taken")]

use std::process::Command;

use tests::binaries;
use tests::engines::Engine;
use tests::host::Host;
use tests::picture::svg;
use tests::terminal::Terminal;

const KEY_UP: &str = "\x1b[A";

/// A terminal of its own for each picture.
struct Studio {
    host: Host,
    page: String,
}

impl Studio {
    fn start(&self, args: &[&str], size: (u16, u16)) -> Terminal {
        let mut command = Command::new(binaries::client());
        command.env_clear().env("TERM", "xterm-256color").env("TZ", "UTC").args(args);
        command.env("XDG_STATE_HOME", self.host.dir()).current_dir(self.host.dir());
        command.env("KV_PORT", self.host.port().to_string());
        Terminal::start(&mut command, size)
    }

    /// A session at its prompt.
    fn session(&self, size: (u16, u16)) -> (Terminal, String) {
        let terminal = self.start(&[], size);
        let prompt = format!("127.0.0.1:{}", self.host.port());
        terminal.expect_line(&format!("{prompt}>"));
        (terminal, prompt)
    }

    /// Puts the screen into the page, as a picture, with its text for who sees none.
    fn take(&mut self, terminal: &Terminal, name: &str, about: &str) {
        let docs = binaries::root().join("docs");
        std::fs::write(docs.join("session").join(format!("{name}.svg")), svg(&terminal.screen())).unwrap();
        let text = terminal.text();
        self.page.push_str(&format!(
            "\n{about}\n\n![{name}](session/{name}.svg)\n\n<details><summary>as text</summary>\n\n```text\n{text}\n```\n\n</details>\n"
        ));
    }
}

/// Enters a line and waits until its reply stands there, and the prompt below.
fn enter(terminal: &mut Terminal, line: &str, reply: &str) {
    terminal.enter(line);
    terminal.wait_until(reply, |screen| {
        let after = screen.rsplit_once(line).map_or("", |(_, after)| after);
        after.contains(reply) && screen.lines().last().is_some_and(|row| row.ends_with('>'))
    });
}

fn main() {
    std::fs::create_dir_all(binaries::root().join("docs/session")).unwrap();
    let page = "# The session\n\nWhat `kvstore-client` looks like. `scripts/transcript` takes all of this from a real run, \
                against a real host.\n"
        .to_owned();
    let host = Host::start(Engine::Memory);
    let library = Engine::CExample.library(host.dir());
    std::fs::create_dir(host.path("builds")).unwrap();
    std::fs::copy(library, host.path("builds/libkvstore_c.so")).unwrap();
    let mut studio = Studio { host, page };
    replies(&mut studio);
    completion(&mut studio);
    transaction(&mut studio);
    help(&mut studio);
    subscription(&mut studio);
    monitor(&mut studio);
    watch(&mut studio);
    reload(&mut studio);
    let path = binaries::root().join("docs/session.md");
    std::fs::write(path, &studio.page).unwrap();
}

fn replies(studio: &mut Studio) {
    let (mut terminal, _) = studio.session((18, 100));
    enter(&mut terminal, "set greeting \"hello world\" EX 600", "OK");
    enter(&mut terminal, "mset a 1 b 2", "OK");
    enter(&mut terminal, "mget a b none", "3) (nil)");
    enter(&mut terminal, "incrby a 41", "42");
    enter(&mut terminal, "incr greeting", "not an integer");
    enter(&mut terminal, "get greeting", "\"hello world\"");
    terminal.type_in("set greeting hi ");
    terminal.expect("|KEEPTTL]");
    let about = "Replies have their types, and colours on a terminal. What can follow is shown in grey while the line is typed, as the host's \
                 COMMAND DOCS tells it:";
    studio.take(&terminal, "replies", about);
}

fn completion(studio: &mut Studio) {
    let (mut terminal, prompt) = studio.session((12, 100));
    terminal.type_in("get\t");
    terminal.expect("getrange");
    terminal.type_in("r\t");
    terminal.expect_line(&format!("{prompt}> getrange key start end"));
    terminal.type_in("\x15engine rel\tbu\t\t");
    terminal.expect("builds/libkvstore_c.so ");
    let about =
        "TAB completes commands, subcommands, options, and the libraries that `ENGINE RELOAD` can load:";
    studio.take(&terminal, "completion", about);
}

fn transaction(studio: &mut Studio) {
    let (mut terminal, prompt) = studio.session((16, 100));
    for (line, reply) in [("multi", "OK"), ("incr a", "QUEUED"), ("get b", "QUEUED")] {
        terminal.enter(line);
        terminal.expect(reply);
        terminal.expect_line(&format!("{prompt}(tx)>"));
    }
    enter(&mut terminal, "exec", "2) \"2\"");
    terminal.type_in(KEY_UP);
    terminal.type_in(KEY_UP);
    terminal.expect_line(&format!("{prompt}> get b"));
    studio.take(&terminal, "transaction", "The prompt shows an open transaction; the history is a key away:");
}

fn help(studio: &mut Studio) {
    let (mut terminal, _) = studio.session((12, 100));
    enter(&mut terminal, "help getex", "group:");
    studio.take(&terminal, "help", "`help` explains a command, with what the host says about it:");
}

fn subscription(studio: &mut Studio) {
    let mut client = studio.host.client();
    let (mut terminal, prompt) = studio.session((16, 100));
    terminal.enter("subscribe news");
    terminal.expect("3> (integer) 1");
    client.call(&["PUBLISH", "news", "the engine was exchanged"]).unwrap();
    terminal.expect("exchanged");
    terminal.wait_until_signals();
    terminal.type_in("\x03");
    terminal.expect_line(&format!("{prompt}(subscribed)>"));
    terminal.type_in("get greeting");
    client.call(&["PUBLISH", "news", "nobody noticed"]).unwrap();
    terminal.expect("noticed");
    terminal.expect_line(&format!("{prompt}(subscribed)> get greeting"));
    let about = "Messages are shown as they come. Ctrl-C gives the prompt back, and what comes later stands above the line that is edited:";
    studio.take(&terminal, "subscription", about);
}

fn monitor(studio: &mut Studio) {
    let mut client = studio.host.client();
    let (mut terminal, _) = studio.session((12, 100));
    terminal.enter("monitor");
    terminal.expect("OK");
    for (words, seen) in [
        (&["SET", "cart:7", "two apples", "EX", "60"][..], "\"60\""),
        (&["INCR", "visits:today"], "visits:today"),
        (&["DEL", "cart:7", "visits:today"], "DEL"),
    ] {
        client.call(words).unwrap();
        terminal.expect(seen);
    }
    let about = "`monitor` shows what the host carries out, with the time and the client of each request (`kvstore-client monitor` too, without a session):";
    studio.take(&terminal, "monitor", about);
}

fn watch(studio: &mut Studio) {
    let mut client = studio.host.client();
    client.call(&["CONFIG", "SET", "notify-keyspace-events", "KA"]).unwrap();
    let terminal = studio.start(&["watch", "colour", "visits"], (12, 100));
    terminal.wait_until("both keys", |screen| screen.matches("(absent)").count() == 2);
    for (words, seen) in [
        (&["SET", "colour", "blue"][..], "\"blue\""),
        (&["INCR", "visits"], "\"1\""),
        (&["SET", "colour", "red"], "-> \"red\""),
        (&["EXPIRE", "colour", "60"], "expires in"),
        (&["DEL", "colour"], "\"red\" -> (absent)"),
    ] {
        client.call(words).unwrap();
        terminal.expect(seen);
    }
    let about = "`kvstore-client watch KEY…` shows what happens to keys as it happens, here while another client writes: by notifications where the \
                 host has them on (`CONFIG SET notify-keyspace-events KA`), else by looking every so often:";
    studio.take(&terminal, "watch", about);
}

fn reload(studio: &mut Studio) {
    let stat = studio.start(&["stat", "--interval-ms", "250"], (14, 100));
    // The engine in C lets nothing expire.
    studio.host.client().call(&["PERSIST", "greeting"]).unwrap();
    stat.wait_until("two lines", |screen| screen.matches("(generation 1)").count() > 1);
    let library = studio.host.path("builds/libkvstore_c.so").display().to_string();
    studio.host.client().call(&["ENGINE", "RELOAD", &library]).unwrap();
    stat.wait_until("two more", |screen| screen.matches("(generation 2)").count() > 1);
    let about = "`kvstore-client stat` prints a line per interval (here four a second), through a change of the engine as well:";
    studio.take(&stat, "stat", about);
}
