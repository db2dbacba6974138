//! Terminal: runs a program as a person would, on a terminal whose screen can be looked at.

#![allow(clippy::expect_used, reason = "a test's helper stops at the first surprise")]

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Parser, Screen};

use crate::wait::{wait_for, wait_until};

/// Rows and columns.
pub type Size = (u16, u16);

/// A program on a terminal. When it is dropped, the program is killed.
pub struct Terminal {
    master: File,
    parser: Arc<Mutex<Parser>>,
    child: Child,
}

/// Why a test waits, with what it sees instead.
struct Vain<'a>(&'a Terminal, &'a str);

impl fmt::Display for Vain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; the screen:\n{}", self.1, self.0.state(), self.0.text())
    }
}

impl Terminal {
    /// Starts the program as the leader of a session of its own, so that Ctrl-C reaches it as it would a person's.
    ///
    /// # Panics
    /// There is no terminal to be had, or no such program.
    pub fn start(command: &mut Command, size: Size) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("the right to the terminal");
        let name = ptsname(&master, Vec::new()).expect("the terminal's name");
        let name = name.into_string().expect("a name in UTF-8");
        let open = || OpenOptions::new().read(true).write(true).open(&name).expect("the terminal");
        let terminal = open();
        resize(&terminal, size);
        command.stdin(open()).stdout(open()).stderr(terminal);
        // SAFETY: between fork and exec only these two calls are made, and both may be made there.
        unsafe {
            command.pre_exec(|| {
                let stdin = std::io::stdin().as_raw_fd();
                match libc::setsid() != -1 && libc::ioctl(stdin, libc::TIOCSCTTY, 0) != -1 {
                    true => Ok(()),
                    false => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("the program can be started");
        // Else the terminal would not end with the program.
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let master = File::from(master);
        let parser = Arc::new(Mutex::new(parser(size)));
        let (mut output, screen) = (master.try_clone().expect("the terminal"), Arc::clone(&parser));
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
                screen.process(&buffer[..len]);
            }
        });
        Self { master, parser, child }
    }

    /// Types these bytes.
    ///
    /// # Panics
    /// The terminal has gone.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Types a line and Enter.
    pub fn enter(&mut self, line: &str) {
        self.type_in(&format!("{line}\r"));
    }

    /// Changes the size, as a person does who pulls at the window.
    pub fn resize(&mut self, size: Size) {
        let (rows, columns) = nonzero(size);
        self.parser().screen_mut().set_size(rows, columns);
        resize(&self.master, size);
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the program is, as the kernel tells: `R (running)`, `S (sleeping)`; once it has ended `Z (zombie)`.
    fn state(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let state = status.lines().find_map(|line| line.strip_prefix("State:\t"));
        state.map_or_else(|| "the program has ended".to_owned(), |state| format!("the program: {state}"))
    }

    /// The screen as it is now, row by row, without the blanks at the ends of rows and below.
    pub fn text(&self) -> String {
        text(self.parser().screen())
    }

    /// The screen, with its colours.
    pub fn screen(&self) -> Screen {
        self.parser().screen().clone()
    }

    /// Where the cursor is: row and column, from 0.
    pub fn cursor(&self) -> (u16, u16) {
        self.parser().screen().cursor_position()
    }

    /// The row that the cursor is in.
    pub fn cursor_row(&self) -> String {
        let row = usize::from(self.cursor().0);
        self.text().lines().nth(row).unwrap_or_default().to_owned()
    }

    /// Waits until the screen has this text.
    ///
    /// # Panics
    /// It does not come.
    pub fn expect(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Waits until the screen is as wanted.
    ///
    /// # Panics
    /// It does not become so.
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        wait_until(Vain(self, what), || wanted(&self.text()));
    }

    /// Waits until the row that the cursor is in is this text.
    ///
    /// # Panics
    /// It does not become so.
    pub fn expect_line(&self, text: &str) {
        let what = format!("{text:?} in the cursor's row");
        wait_until(Vain(self, &what), || self.cursor_row() == text);
    }

    /// Waits until the program does not read keys by itself, so that Ctrl-C is a signal.
    ///
    /// # Panics
    /// It goes on reading them.
    pub fn wait_until_signals(&self) {
        let signals =
            || tcgetattr(&self.master).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ISIG));
        wait_until(Vain(self, "a program that takes signals"), signals);
    }

    /// Waits until the program has ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the end of the program on the terminal", || child.try_wait().expect("its status"))
    }

    fn parser(&self) -> MutexGuard<'_, Parser> {
        self.parser.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the screen:\n{}", self.text());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parser((rows, columns): Size) -> Parser {
    let (rows, columns) = nonzero((rows, columns));
    Parser::new(rows, columns, 10_000)
}

fn nonzero((rows, columns): Size) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(rows).expect("rows"), NonZeroU16::new(columns).expect("columns"))
}

fn resize(terminal: &File, (rows, columns): Size) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("the terminal has a size");
}

fn text(screen: &Screen) -> String {
    let (_, columns) = screen.size();
    let rows: Vec<String> = screen.rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n").trim_end().to_owned()
}
