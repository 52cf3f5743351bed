//! How tests start other programs: with a time bound, and so that nothing outlives the test. Knows no server.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// What a program may take that a test starts and does not wait for long: more than any test needs.
pub const BOUND: Duration = Duration::from_secs(240);

/// A program that is ended, with what it started, after [`BOUND`].
pub fn program(name: impl AsRef<OsStr>) -> Command {
    program_within(name, BOUND)
}

/// The same with another bound. The program runs below `timeout`, in a process group that has `timeout`'s id, and its
/// result is the program's own, or 124 where the bound was over. When the thread that starts it ends (the test, or the
/// whole process, killed or not), the group is told to end too. Signals are for the program itself: see [`pid_of`].
pub fn program_within(name: impl AsRef<OsStr>, bound: Duration) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=TERM", "timeout", "--kill-after=5"]).arg(bound.as_secs_f64().to_string());
    // Killed without a chance to hand it on, `timeout` takes the program with it.
    command.args(["setpriv", "--pdeathsig=KILL"]).arg(name);
    command.process_group(0).stdin(Stdio::null());
    command
}

/// The program itself below what `program` started: for what looks at a process or sends it a signal. (`timeout` hands
/// signals on too, but twice, and kills five seconds later.) Nothing where it has ended.
pub fn pid_of(child: &Child) -> Option<u32> {
    let id = child.id();
    let below = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    below.split_whitespace().next()?.parse().ok()
}

/// Ends a program at once, as a crash would, and then what it started and left behind.
pub fn end(child: &mut Child) {
    let pid = |id: u32| Pid::from_raw(id.cast_signed());
    // `timeout` waits for the program, so that it is gone when `timeout` is.
    match pid_of(child).and_then(pid) {
        Some(program) => drop(kill_process(program, Signal::KILL)),
        None => drop(child.kill()),
    }
    let _ = child.wait();
    if let Some(group) = pid(child.id()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
