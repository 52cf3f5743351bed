//! What the program prints. Whoever reads may leave before the end (`| head -1`): that ends a command without a word, as it ends
//! other programs of Unix, and a server not at all.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc;
use std::time::Duration;

/// What a shell says of a program that was ended by SIGPIPE.
const NOBODY_READS: i32 = 128 + 13;
/// How long a line may wait for whoever reads.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints what a command was asked for, as it is. Ends the program where that cannot be done.
pub fn text(text: impl Display) {
    let problem = match attempt(&text) {
        Ok(()) => return,
        Err(problem) => problem,
    };
    if problem.kind() == ErrorKind::BrokenPipe {
        std::process::exit(NOBODY_READS);
    }
    error(format_args!("roomservice: what was asked for cannot be printed: {problem}"));
    std::process::exit(1);
}

/// The same with an end of line.
pub fn line(line: impl Display) {
    text(format_args!("{line}\n"));
}

/// Prints something that is not the program's purpose.
///
/// # Errors
/// It cannot be written.
pub fn attempt(text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush())
}

/// Prints a line for whoever looks after the program. There is no other place to say that it cannot be written, or that nobody
/// reads it: then it is given up after a while.
pub fn error(line: impl Display) {
    let line = line.to_string();
    let (printed, done) = mpsc::channel();
    let print = move || {
        let _ = writeln!(io::stderr(), "{line}");
        let _ = printed.send(());
    };
    if std::thread::Builder::new().spawn(print).is_ok() {
        let _ = done.recv_timeout(PATIENCE);
    }
}
