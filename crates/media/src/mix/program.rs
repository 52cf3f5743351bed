//! The program: where it is, and how it is run so that it gives way to others and never outlives the server.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// Where a program is: the path itself, or found in `PATH`.
pub fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return is_program(program).then(|| program.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

/// A command that is killed when it is dropped, and by the system when this process dies without a word (where
/// `setpriv` is there to ask for that).
pub(super) fn command(program: &Path, nice: u8) -> Command {
    let mut words: Vec<PathBuf> = Vec::new();
    if let Some(setpriv) = find(Path::new("setpriv")) {
        words.extend([setpriv, "--pdeathsig".into(), "KILL".into(), "--".into()]);
    }
    if let Some(program) = find(Path::new("nice")).filter(|_| nice > 0) {
        words.extend([program, "-n".into(), nice.min(19).to_string().into()]);
    }
    words.push(program.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
